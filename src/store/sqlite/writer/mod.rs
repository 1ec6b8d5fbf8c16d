//! The thread that writes. It takes all pending writes, runs each under its own savepoint in one
//! transaction, commits once, and then answers. Writes share the cost of reaching the disk, and
//! each is still atomic and durable.
//!
//! There is no timer: a single write pays one commit, and under load a transaction grows up to
//! [`MAX_WRITES`].

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection;
use crate::store::batch::{BatchError, GroupCommit, Member};
use crate::store::{Result, StoreError};

/// Maximum number of waiting writes.
const QUEUE: usize = 4096;

/// Maximum number of writes in a transaction. Beyond a few hundred, the commit is a small part of
/// the work, and the first write waits longer for the last.
const MAX_WRITES: usize = 256;

pub(super) struct Writer {
    queue: Sender<Box<dyn PendingWrite>>,
}

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = connection::open_writer(path)?;
        let (queue, pending) = crossbeam_channel::bounded(QUEUE);
        std::thread::Builder::new()
            .name("sqlite-write".to_owned())
            .spawn(move || run_transactions(&connection, &pending))
            .map_err(StoreError::unavailable)?;
        Ok(Self { queue })
    }

    /// Runs the operation in a transaction and waits for its commit. If the transaction cannot be
    /// committed, `operation` may run again; the effects of a run without a commit are rolled back.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Box::new(Write { operation, outcome: None, answer }))?;
        outcome.await.map_err(|_| StoreError::internal("the writer dropped a write"))?
    }
}

/// A write with a result of any type.
trait PendingWrite: Send {
    /// Runs the write and stores its outcome. Returns whether its effects are to be committed.
    fn run(&mut self, connection: &Connection) -> bool;

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

fn run_transactions(connection: &Connection, queue: &Receiver<Box<dyn PendingWrite>>) {
    while let Ok(first) = queue.recv() {
        let mut writes = vec![first];
        writes.extend(queue.try_iter().take(MAX_WRITES - 1));
        // A write whose client has left is dropped.
        writes.retain(Member::is_awaited);
        group_commit(connection, writes);
    }
}

fn group_commit(connection: &Connection, writes: Vec<Box<dyn PendingWrite>>) {
    let mut group = GroupCommit::new(writes);
    while let Some(mut writes) = group.next_batch() {
        let outcome = commit(connection, &mut writes).map(|()| vec![(); writes.len()]);
        group.settle(writes, outcome);
    }
}

/// Runs the writes in one transaction. After an error nothing is committed and no transaction is
/// open.
fn commit(
    connection: &Connection,
    writes: &mut [Box<dyn PendingWrite>],
) -> std::result::Result<(), BatchError> {
    let outcome = match execute(connection, "BEGIN IMMEDIATE") {
        Ok(()) => run_all(connection, writes).map_err(BatchError::RolledBack),
        // If they were retried one by one, each write would wait for the same lock again, and the
        // queued writes would wait for all of them.
        Err(error) => Err(BatchError::Final(error.into())),
    };
    if outcome.is_err() {
        roll_back(connection);
    }
    outcome
}

fn run_all(connection: &Connection, writes: &mut [Box<dyn PendingWrite>]) -> Result<()> {
    for write in writes {
        execute(connection, "SAVEPOINT member")?;
        if !write.run(connection) {
            // After some errors, such as a full disk, SQLite has rolled back the whole transaction,
            // and the savepoint is gone.
            if connection.is_autocommit() {
                return Err(write.take_error());
            }
            execute(connection, "ROLLBACK TO member")?;
        }
        execute(connection, "RELEASE member")?;
    }
    Ok(execute(connection, "COMMIT")?)
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        tracing::error!(%error, "rollback failed");
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
