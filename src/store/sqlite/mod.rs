//! The embedded store: one SQLite file.
//!
//! One thread writes, and commits pending writes together. A few threads read, each on its own
//! connection. Other threads read lists, so that no short read waits behind long ones. With WAL and
//! `synchronous = FULL`, a commit is on the disk before the write is answered. Other processes may
//! use the file (a backup, the command line); the store waits [`BUSY_TIMEOUT`] for their locks.

mod admin;
mod administration;
mod backup;
mod callers;
mod change_log;
mod close;
mod commit_id;
mod connection;
mod database_lock;
mod deletions;
mod error;
mod events;
mod files;
mod hidden_range;
mod idempotency_keys;
mod installation;
mod lists;
mod login_failures;
mod metrics;
mod operator;
mod own_votes;
mod posts;
mod rankings;
mod read_only;
mod reader;
mod readiness;
mod recipients;
mod restore;
mod row;
mod search;
mod sessions;
mod statement;
mod usable_file;
mod users;
mod votes;
mod wal;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::database_lock::DatabaseLock;
use self::deletions::SqliteSlices;
use self::reader::Readers;
use self::writer::Writer;
use super::Result;
use super::deletions::Deletions;

pub use admin::{SqliteAdmin, SqliteInspector};
pub use backup::{Backup, BackupError, back_up, check_source, parse_sha256, remove_partial};
pub use connection::BUSY_TIMEOUT;
pub use error::is_damaged;
pub use operator::SqliteOperator;
pub use restore::{RestoreRequest, Restored, restore};

pub struct SqliteStore {
    path: PathBuf,
    readers: Arc<Readers>,
    list_readers: Arc<Readers>,
    writer: Arc<Writer>,
    deletions: Deletions,
    /// Whether this process has registered as a reader of changes.
    has_listened: AtomicBool,
    _lock: DatabaseLock,
}

impl SqliteStore {
    /// Opens a database at the newest revision. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`] if the file cannot be opened or written, or a thread cannot
    /// be started, or while a restore replaces the file. [`super::StoreError::Internal`] if the write-ahead log next to the file belongs to
    /// another database or to another state of this one.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = DatabaseLock::share(path)?;
        commit_id::check_log(path)?;
        let writer = Arc::new(Writer::open(path)?);
        let readers = Arc::new(Readers::open(path, "sqlite-read")?);
        let list_readers = Arc::new(Readers::open(path, "sqlite-list")?);
        let slices = SqliteSlices {
            readers: Arc::clone(&readers),
            list_readers: Arc::clone(&list_readers),
            writer: Arc::clone(&writer),
        };
        Ok(Self {
            path: path.to_owned(),
            readers,
            list_readers,
            writer,
            deletions: Deletions::open(slices),
            has_listened: AtomicBool::new(false),
            _lock: lock,
        })
    }
}

/// Returns the name and text of every statement that a request or an operator's command on accounts can run.
pub fn request_statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = [
        callers::STATEMENTS,
        installation::STATEMENTS,
        users::STATEMENTS,
        recipients::STATEMENTS,
        deletions::STATEMENTS,
        hidden_range::STATEMENTS,
        sessions::STATEMENTS,
        events::STATEMENTS,
        login_failures::STATEMENTS,
        posts::STATEMENTS,
        lists::STATEMENTS,
        rankings::STATEMENTS,
        search::STATEMENTS,
        votes::STATEMENTS,
        idempotency_keys::STATEMENTS,
        own_votes::STATEMENTS,
        change_log::STATEMENTS,
        operator::STATEMENTS,
        administration::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}
