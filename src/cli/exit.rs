//! The end of a failed command: its message on standard error, and its exit code.

use std::process::ExitCode;

use crate::config::SettingError;
use crate::store::StoreError;
use crate::store::migrate::MigrateError;
use crate::store::sqlite::is_damaged;
use crate::telemetry;

pub(super) enum Exit {
    /// A check failed with these messages: exit code 1.
    CheckFailed(Vec<String>),
    /// Settings that cannot be used: exit code 2.
    Settings(Vec<SettingError>),
    /// Wrong usage: exit code 2.
    Usage(String),
    /// The database is unreachable: exit code 3.
    Database(anyhow::Error),
    /// Any other error: exit code 1.
    Failed(anyhow::Error),
}

const OBSTRUCTED_HINT: &str = "rename, move or drop these objects, or give the service a schema or \
    an SQLite file of its own in DATABASE_URL: see \"Objects of others\" in docs/postgresql.md";

const DAMAGED: &str = "the database file is damaged; restore a backup with `post-api restore`";

impl Exit {
    pub(super) fn report(self) -> ExitCode {
        let (lines, code) = match self {
            Self::CheckFailed(lines) => (lines, 1),
            Self::Failed(error) => (vec![format!("error: {error:#}")], 1),
            Self::Usage(problem) => (vec![format!("error: {problem}")], 2),
            Self::Database(error) => (vec![format!("error: {error:#}")], 3),
            Self::Settings(errors) => {
                let mut lines = vec!["error: the settings cannot be used".to_owned()];
                lines.extend(errors.iter().map(|error| format!("  {error}")));
                (lines, 2)
            }
        };
        for line in lines {
            telemetry::print(&format!("{line}\n"));
        }
        ExitCode::from(code)
    }
}

impl From<Vec<SettingError>> for Exit {
    fn from(errors: Vec<SettingError>) -> Self {
        Self::Settings(errors)
    }
}

impl From<StoreError> for Exit {
    fn from(error: StoreError) -> Self {
        match error {
            error if is_damaged(&error) => {
                Self::Failed(anyhow::Error::from(error).context(DAMAGED))
            }
            StoreError::Unavailable(_) | StoreError::Overloaded => Self::Database(error.into()),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<MigrateError> for Exit {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Store(error) => Self::from(error),
            MigrateError::NotAdoptable(differences) => {
                let head = "error: the database has tables that differ from those of the reference service:";
                let mut lines = vec![head.to_owned()];
                lines.extend(differences.iter().map(|difference| format!("  {difference}")));
                Self::CheckFailed(lines)
            }
            MigrateError::Obstructed(obstacles) => {
                let head = "error: nothing was changed, because the database has objects that are not ours:";
                let mut lines = vec![head.to_owned()];
                lines.extend(obstacles.iter().map(|obstacle| format!("  {obstacle}")));
                lines.push(OBSTRUCTED_HINT.to_owned());
                Self::CheckFailed(lines)
            }
            MigrateError::ForeignHistory(_)
            | MigrateError::SeveralSchemas(_)
            | MigrateError::NoSchema
            | MigrateError::NotDistributable(_)
            | MigrateError::Distributed
            | MigrateError::Unknown(_)
            | MigrateError::Newer(_)
            | MigrateError::Changed(_)
            | MigrateError::Busy(_)
            | MigrateError::TablesInUse(_) => Self::Failed(error.into()),
            MigrateError::NoSuchRevision(_)
            | MigrateError::UnusableFile { .. }
            | MigrateError::NoSession
            | MigrateError::OutOfRange(..)
            | MigrateError::WrongWay(..) => Self::Usage(error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
