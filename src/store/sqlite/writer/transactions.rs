//! The transactions of the writer: each commits a group of writes.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::PendingWrite;
use crate::store::batch::{BatchError, GroupCommit};
use crate::store::sqlite::change_log::{END_EPOCH, find_newest};
use crate::store::sqlite::commit_id::record_commit;
use crate::store::sqlite::connection::{self, NotWritable};
use crate::store::sqlite::files::DatabaseFiles;
use crate::store::{Result, StoreError};

/// How long the end waits for reads of other processes before it leaves the log to them.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Transactions {
    pub(super) connection: Connection,
    files: DatabaseFiles,
    /// The newest change in the log after the last commit.
    newest_change: i64,
    /// Whether the next transaction writes even if its members do not. After an error only a write
    /// shows whether the database can be written again, and readiness needs to know.
    must_write: bool,
    /// Whether the database file has every commit.
    is_checkpointed: bool,
}

impl Transactions {
    /// Opens the database and commits an empty transaction, which proves that it can be written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = connection::open_writer(path)?;
        for sql in ["BEGIN IMMEDIATE", "COMMIT"] {
            if sql == "COMMIT" {
                record_commit(&connection)?;
            }
            execute(&connection, sql).map_err(|error| NotWritable::explain(path, error))?;
        }
        let files = DatabaseFiles::of_open(path).map_err(StoreError::unavailable)?;
        Ok(Self { connection, files, newest_change: 0, must_write: false, is_checkpointed: false })
    }

    pub(super) fn group_commit(&mut self, writes: Vec<Box<dyn PendingWrite>>) {
        let mut group = GroupCommit::new(writes);
        while let Some(mut writes) = group.next_batch() {
            let outcome = self.commit(&mut writes).map(|()| vec![(); writes.len()]);
            group.settle(writes, outcome);
        }
        self.files.watch_log();
    }

    /// Runs the writes in one transaction. After an error nothing is committed and no transaction is
    /// open.
    fn commit(
        &mut self,
        writes: &mut [Box<dyn PendingWrite>],
    ) -> std::result::Result<(), BatchError> {
        self.files.check().map_err(BatchError::Final)?;
        let outcome = match execute(&self.connection, "BEGIN IMMEDIATE") {
            Ok(()) => self.run_all(writes).map_err(BatchError::RolledBack),
            // If they were retried one by one, each write would wait for the same lock again, and the
            // queued writes would wait for all of them.
            Err(error) => {
                self.must_write |= !is_busy(&error);
                Err(BatchError::Final(error.into()))
            }
        };
        if outcome.is_err() {
            self.roll_back();
        }
        outcome
    }

    fn run_all(&mut self, writes: &mut [Box<dyn PendingWrite>]) -> Result<()> {
        let has_failed = std::mem::replace(&mut self.must_write, true);
        let mut is_put_back = self.is_put_back()?;
        let changes = self.connection.total_changes();
        let mut is_unavailable = false;
        if !self.run_together(writes)? {
            execute(&self.connection, "ROLLBACK")?;
            execute(&self.connection, "BEGIN IMMEDIATE")?;
            is_put_back = self.is_put_back()?;
            is_unavailable = self.run_apart(writes)?;
        }
        if is_put_back {
            execute(&self.connection, END_EPOCH)?;
        }
        if has_failed || self.connection.total_changes() != changes {
            record_commit(&self.connection)?;
            self.is_checkpointed = false;
        }
        let newest_change = find_newest(&self.connection)?;
        execute(&self.connection, "COMMIT")?;
        self.newest_change = newest_change;
        self.must_write = is_unavailable;
        Ok(())
    }

    /// Whether a copy of the database was put back since the last commit. It has lost changes, and would
    /// give their numbers to others.
    fn is_put_back(&self) -> rusqlite::Result<bool> {
        Ok(find_newest(&self.connection)? < self.newest_change)
    }

    /// Runs the writes one after the other. Returns false, and runs no further one, if one fails.
    fn run_together(&self, writes: &mut [Box<dyn PendingWrite>]) -> Result<bool> {
        for write in writes {
            if !write.run(&self.connection) {
                self.expect_transaction(write)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs each write under its own savepoint, so that one that fails undoes only itself. As long as
    /// a savepoint is open, SQLite copies each page before it changes. Returns whether the database
    /// could not be written.
    fn run_apart(&self, writes: &mut [Box<dyn PendingWrite>]) -> Result<bool> {
        let mut is_unavailable = false;
        for write in writes {
            execute(&self.connection, "SAVEPOINT member")?;
            if !write.run(&self.connection) {
                is_unavailable |= write.is_unavailable();
                self.expect_transaction(write)?;
                execute(&self.connection, "ROLLBACK TO member")?;
            }
            execute(&self.connection, "RELEASE member")?;
        }
        Ok(is_unavailable)
    }

    /// After some errors, such as a full disk, SQLite has rolled back the whole transaction, and the
    /// savepoints are gone. Returns the error of the write then.
    fn expect_transaction(&self, failed: &mut Box<dyn PendingWrite>) -> Result<()> {
        if self.connection.is_autocommit() { Err(failed.take_error()) } else { Ok(()) }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = execute(&self.connection, "ROLLBACK")
        {
            tracing::error!(%error, "rollback failed");
        }
    }

    /// Copies the log into the database file, as far as no read of an older state prevents it.
    pub(super) fn checkpoint(&mut self) {
        if self.is_checkpointed {
            return;
        }
        match checkpoint(&self.connection, "PRAGMA wal_checkpoint(PASSIVE)") {
            Ok(is_complete) => self.is_checkpointed = is_complete,
            Err(error) => tracing::warn!(%error, "could not copy the log into the database"),
        }
        self.files.watch_log();
    }

    /// Copies the log into the database file and removes the log. If another process uses the
    /// database, the log may stay.
    pub(super) fn close(mut self) {
        // The connection removes the log by its name, which may belong to another file now.
        let outcome = match self.files.check() {
            Ok(()) => Ok(true),
            Err(_) => {
                self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            }
        };
        let outcome = outcome
            .and_then(|_| self.connection.busy_timeout(CLOSE_TIMEOUT))
            .and_then(|()| checkpoint(&self.connection, "PRAGMA wal_checkpoint(TRUNCATE)"));
        let closed = self.connection.close().map_err(|(_, error)| error);
        let bytes = self.files.log_size();
        if let Err(error) = outcome.and(closed) {
            tracing::warn!(%error, bytes, "could not copy the log into the database; the log stays");
        } else if bytes > 0 && !self.files.is_detached() {
            tracing::warn!(bytes, "another process reads the database; the log stays");
        }
    }
}

/// Returns whether the database file has every commit now.
fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<bool> {
    connection.query_row(sql, [], |row| {
        let (is_busy, log, copied): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!is_busy && log == copied)
    })
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

pub(super) fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
