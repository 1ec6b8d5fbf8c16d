//! The thread that writes. It takes everything that waits, runs it as one transaction, each
//! member under a savepoint of its own, commits once, and only then answers: the price of
//! reaching the disk is shared, the guarantee is not.
//!
//! Alone, a write pays one commit; under load a transaction grows by itself up to
//! [`MEMBERS`]. There are no timers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection;
use crate::store::{Result, StoreError};

/// Writes that may wait.
const QUEUE: usize = 4096;

/// Most writes in a transaction: beyond some hundred the commit's share is small against the
/// work itself, and the first member waits for the last.
const MEMBERS: usize = 256;

pub(super) struct Writer {
    queue: Sender<Box<dyn Member>>,
}

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = connection::open_writer(path)?;
        let (queue, members) = crossbeam_channel::bounded(QUEUE);
        std::thread::Builder::new()
            .name("sqlite-write".to_owned())
            .spawn(move || work(&connection, &members))
            .map_err(StoreError::unavailable)?;
        Ok(Self { queue })
    }

    /// Runs the operation in a transaction and waits for its commit. `write` may be run again
    /// when the transaction that it shared could not be committed; the effects of a run that
    /// does not end in a commit are undone.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        write: impl FnMut(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, outcome) = oneshot::channel();
        let member = Box::new(Waiting { write, outcome: None, answer });
        self.queue.try_send(member).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::unavailable("the writer has ended"),
        })?;
        outcome.await.map_err(|_| StoreError::internal("a write was lost"))?
    }
}

/// A write of whatever result.
trait Member: Send {
    /// Runs the operation and keeps its outcome; false if its effects must be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Whether anybody still waits for the answer.
    fn is_awaited(&self) -> bool;
    /// Answers with the kept outcome: it is committed.
    fn acknowledge(self: Box<Self>);
    /// Answers with the error instead.
    fn refuse(self: Box<Self>, error: StoreError);
}

struct Waiting<W, T> {
    write: W,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<W, T> Member for Waiting<W, T>
where
    W: FnMut(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.write)(connection)))
            .unwrap_or_else(|_| Err(StoreError::internal("a write panicked")));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    fn acknowledge(self: Box<Self>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(StoreError::internal("not run")));
        // Whoever does not wait any more has left; the write stands all the same.
        let _ = self.answer.send(outcome);
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error));
    }
}

fn work(connection: &Connection, queue: &Receiver<Box<dyn Member>>) {
    while let Ok(first) = queue.recv() {
        let mut members = vec![first];
        members.extend(queue.try_iter().take(MEMBERS - 1));
        // A client that left before its write began gets none.
        members.retain(|member| member.is_awaited());
        write_together(connection, members);
    }
}

fn write_together(connection: &Connection, mut members: Vec<Box<dyn Member>>) {
    let Err(error) = commit_all(connection, &mut members) else {
        for member in members {
            member.acknowledge();
        }
        return;
    };
    roll_back(connection);
    if members.len() > 1 {
        // One of them may be at fault, or too large for the disk: alone, the others go through.
        for member in members {
            write_together(connection, vec![member]);
        }
    } else if let Some(member) = members.pop() {
        member.refuse(StoreError::from(error));
    }
}

fn commit_all(connection: &Connection, members: &mut [Box<dyn Member>]) -> rusqlite::Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    execute(connection, "BEGIN IMMEDIATE")?;
    for member in members {
        execute(connection, "SAVEPOINT member")?;
        if !member.run(connection) {
            execute(connection, "ROLLBACK TO member")?;
        }
        execute(connection, "RELEASE member")?;
    }
    execute(connection, "COMMIT")
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        tracing::error!(error = %error, "a transaction could not be rolled back");
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
