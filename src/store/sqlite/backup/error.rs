//! Why a backup or a restore did not succeed.

use std::io;
use std::path::Path;

use crate::store::StoreError;
use crate::store::migrate::MigrateError;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The path cannot be used: wrong usage.
    #[error("{path} {problem}; {hint}")]
    Path { path: String, problem: &'static str, hint: &'static str },
    #[error("there is no database {0}; name its folder in DATA_DIR, or its file in DATABASE_URL")]
    NoDatabase(String),
    #[error("{path} {problem}: {}", .faults.join("; "))]
    Unsound { path: String, problem: &'static str, faults: Vec<String> },
    #[error("{path} has another SHA-256 than {expected_by} says: it was changed or damaged")]
    OtherChecksum { path: String, expected_by: String },
    #[error(
        "{database} is in use ({problem}); stop the service and every program that has it open"
    )]
    InUse { database: String, problem: String },
    #[error("could not {action} {path}")]
    File { action: &'static str, path: String, source: io::Error },
    #[error("could not {action} {path}")]
    Sqlite { action: &'static str, path: String, source: rusqlite::Error },
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    pub(in crate::store::sqlite) fn path(
        path: &Path,
        problem: &'static str,
        hint: &'static str,
    ) -> Self {
        Self::Path { path: path.display().to_string(), problem, hint }
    }

    pub(in crate::store::sqlite) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { action, path, source }
    }

    pub(in crate::store::sqlite) fn sqlite(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Sqlite { action, path, source }
    }
}
