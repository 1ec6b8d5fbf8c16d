//! The thread that writes. It takes everything that waits, runs it as one transaction, each
//! member under a savepoint of its own, commits once, and only then answers: the price of
//! reaching the disk is shared, the guarantee is not.
//!
//! Alone, a write pays one commit; under load a transaction grows by itself up to
//! [`MEMBERS`]. There are no timers.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
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
        self.queue.try_send(member)?;
        outcome.await.map_err(|_| StoreError::internal("a write was lost"))?
    }
}

/// A write of whatever result.
trait Member: Send {
    /// Runs the operation and keeps its outcome; false if its effects must be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Takes the error of a run whose effects are undone.
    fn take_error(&mut self) -> StoreError;
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

/// Why nothing of a transaction is committed.
enum Failure {
    /// It did not begin: no member ran.
    NotBegun(StoreError),
    Undone(StoreError),
}

fn write_together(connection: &Connection, mut members: Vec<Box<dyn Member>>) {
    match commit_all(connection, &mut members) {
        Ok(()) => acknowledge_all(members),
        // Alone, each would wait for the same lock once more, and all that queues behind them.
        Err(Failure::NotBegun(error)) => refuse_all(members, error),
        // One of them may be at fault, or too large for the disk: alone, the others go through.
        Err(Failure::Undone(_)) if members.len() > 1 => write_one_by_one(connection, members),
        Err(Failure::Undone(error)) => {
            if let Some(member) = members.pop() {
                member.refuse(error);
            }
        }
    }
}

fn write_one_by_one(connection: &Connection, members: Vec<Box<dyn Member>>) {
    let mut waiting = members.into_iter();
    while let Some(member) = waiting.next() {
        if !member.is_awaited() {
            continue;
        }
        let mut alone = [member];
        match commit_all(connection, &mut alone) {
            Ok(()) => acknowledge_all(alone),
            Err(Failure::Undone(error)) => {
                let [member] = alone;
                member.refuse(error);
            }
            Err(Failure::NotBegun(error)) => {
                return refuse_all(alone.into_iter().chain(waiting), error);
            }
        }
    }
}

fn acknowledge_all(members: impl IntoIterator<Item = Box<dyn Member>>) {
    for member in members {
        member.acknowledge();
    }
}

/// The kind of the error is kept; the error itself can only be shared.
fn refuse_all(members: impl IntoIterator<Item = Box<dyn Member>>, error: StoreError) {
    let error = Arc::new(error);
    for member in members {
        member.refuse(StoreError::shared(&error));
    }
}

/// After a failure nothing is committed and no transaction is left open.
fn commit_all(
    connection: &Connection,
    members: &mut [Box<dyn Member>],
) -> std::result::Result<(), Failure> {
    if members.is_empty() {
        return Ok(());
    }
    let outcome = match execute(connection, "BEGIN IMMEDIATE") {
        Ok(()) => run_all(connection, members).map_err(Failure::Undone),
        Err(error) => Err(Failure::NotBegun(error.into())),
    };
    if outcome.is_err() {
        roll_back(connection);
    }
    outcome
}

fn run_all(connection: &Connection, members: &mut [Box<dyn Member>]) -> Result<()> {
    for member in members {
        execute(connection, "SAVEPOINT member")?;
        if !member.run(connection) {
            // After some errors, a full or failing disk among them, SQLite has undone the whole
            // transaction already; there is no savepoint any more to go back to.
            if connection.is_autocommit() {
                return Err(member.take_error());
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
        tracing::error!(error = %error, "a transaction could not be rolled back");
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
