//! The thread that writes. It takes all pending writes, runs them in one transaction, commits once,
//! and then answers. If a write fails, all are rolled back and run again, each under its own
//! savepoint. Writes share the cost of reaching the disk, and each is still atomic and durable.
//!
//! There is no timer: a single write pays one commit, and under load a transaction grows up to
//! [`MAX_WRITES`].

#[cfg(test)]
mod tests;
mod transactions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use self::transactions::Transactions;
use crate::metrics::{Histogram, MEMBERS};
use crate::store::batch::{Member, record_members};
use crate::store::{Result, StoreError};
use crate::worker_pool::{JobQueue, JobReceiver};

/// Maximum number of waiting writes.
const QUEUE: usize = 4096;

/// Maximum number of writes in a transaction. Beyond a few hundred, the commit is a small part of
/// the work, and the first write waits longer for the last.
const MAX_WRITES: usize = 256;

/// After this long without a write, the log is copied into the database file. A copy of the file
/// alone then has every write.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Writer {
    queue: JobQueue<Box<dyn PendingWrite>>,
    members: Arc<Histogram>,
}

impl Writer {
    /// # Errors
    /// [`StoreError::Unavailable`] if the file cannot be opened or written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let transactions = Transactions::open(path)?;
        let (queue, receiver) = JobQueue::bounded(QUEUE);
        let members = Arc::new(Histogram::new(&MEMBERS));
        let recorded = Arc::clone(&members);
        std::thread::Builder::new()
            .name("sqlite-write".to_owned())
            .spawn(move || run_transactions(transactions, &receiver, IDLE_TIMEOUT, &recorded))
            .map_err(StoreError::unavailable)?;
        Ok(Self { queue, members })
    }

    /// Returns the number of writes that wait.
    pub(super) fn queue_length(&self) -> usize {
        self.queue.length()
    }

    /// Returns how many writes the transactions so far had.
    pub(super) fn members(&self) -> &Histogram {
        &self.members
    }

    /// Commits the queued writes and closes the connection. Later writes are refused.
    pub(super) async fn close(&self) {
        self.queue.close();
        self.queue.ended().await;
    }

    /// Runs the operation in a transaction and waits for its commit. If another operation fails, or the
    /// transaction cannot be committed, `operation` runs again; the effects of a run without a commit
    /// are rolled back.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Box::new(Write { operation, outcome: None, answer }))?;
        outcome.await.map_err(|_| StoreError::unavailable("the writer has ended"))?
    }
}

/// A write with a result of any type.
trait PendingWrite: Send {
    /// Runs the write and stores its outcome. Returns whether its effects are to be committed.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Whether the database could not be written.
    fn is_unavailable(&self) -> bool;

    /// Takes the error of a run whose effects are rolled back.
    fn take_error(&mut self) -> StoreError;

    fn is_awaited(&self) -> bool;

    /// Answers with the stored outcome, whose effects are committed.
    fn acknowledge(self: Box<Self>);

    fn refuse(self: Box<Self>, error: StoreError);
}

struct Write<W, T> {
    operation: W,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<W, T> PendingWrite for Write<W, T>
where
    W: FnMut(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.operation)(connection)))
            .unwrap_or_else(|_| Err(StoreError::internal("a write panicked")));
        let is_ok = outcome.is_ok();
        self.outcome = Some(outcome);
        is_ok
    }

    fn is_unavailable(&self) -> bool {
        matches!(self.outcome, Some(Err(StoreError::Unavailable(_))))
    }

    fn take_error(&mut self) -> StoreError {
        self.outcome
            .take()
            .and_then(Result::err)
            .unwrap_or_else(|| StoreError::internal("a write did not fail"))
    }

    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    fn acknowledge(self: Box<Self>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(StoreError::internal("not run")));
        // Fails if the client has left; its write stays committed.
        let _ = self.answer.send(outcome);
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error));
    }
}

/// A write stores its own outcome, so the answer of the group commit is empty.
impl Member for Box<dyn PendingWrite> {
    type Answer = ();

    fn is_awaited(&self) -> bool {
        self.as_ref().is_awaited()
    }

    fn acknowledge(self, (): ()) {
        PendingWrite::acknowledge(self);
    }

    fn refuse(self, error: StoreError) {
        PendingWrite::refuse(self, error);
    }
}

fn run_transactions(
    mut transactions: Transactions,
    receiver: &JobReceiver<Box<dyn PendingWrite>>,
    idle_timeout: Duration,
    members: &Histogram,
) {
    let queue = &receiver.jobs;
    loop {
        let first = match queue.recv_timeout(idle_timeout) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                transactions.checkpoint();
                match queue.recv() {
                    Ok(first) => first,
                    Err(_) => break,
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut writes = vec![first];
        writes.extend(queue.try_iter().take(MAX_WRITES - 1));
        // A write whose client has left is dropped.
        writes.retain(Member::is_awaited);
        record_members(members, writes.len());
        transactions.group_commit(writes);
    }
    transactions.close();
}
