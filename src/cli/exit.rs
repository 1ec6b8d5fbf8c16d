//! How a command ends when it does not end well: a word to standard error, and the exit code.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::SettingError;
use crate::store::StoreError;
use crate::store::migrate::MigrateError;

pub(super) enum Exit {
    /// The check says no: 1.
    CheckFailed(Vec<String>),
    /// Usage or settings: 2.
    Settings(Vec<SettingError>),
    /// Usage or settings, in one sentence: 2.
    Usage(String),
    /// The database is out of reach: 3.
    Database(anyhow::Error),
    /// Anything else that went wrong: 1.
    Failed(anyhow::Error),
}

impl Exit {
    pub(super) fn report(self) -> ExitCode {
        let (lines, code) = match self {
            Self::CheckFailed(lines) => (lines, 1),
            Self::Failed(error) => (vec![format!("error: {error:#}")], 1),
            Self::Usage(problem) => (vec![format!("error: {problem}")], 2),
            Self::Database(error) => (vec![format!("error: {error:#}")], 3),
            Self::Settings(faults) => {
                let mut lines = vec!["error: the settings cannot be used".to_owned()];
                lines.extend(faults.iter().map(|fault| format!("  {fault}")));
                (lines, 2)
            }
        };
        for line in lines {
            // There is nowhere left to tell that standard error is closed.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        ExitCode::from(code)
    }
}

impl From<Vec<SettingError>> for Exit {
    fn from(faults: Vec<SettingError>) -> Self {
        Self::Settings(faults)
    }
}

impl From<StoreError> for Exit {
    fn from(error: StoreError) -> Self {
        Self::Database(error.into())
    }
}

impl From<MigrateError> for Exit {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Store(error) => Self::from(error),
            MigrateError::NotAdoptable(differences) => {
                let head =
                    "error: the database has tables of these names that are not the reference's:";
                let mut lines = vec![head.to_owned()];
                lines.extend(differences.iter().map(|difference| format!("  {difference}")));
                Self::CheckFailed(lines)
            }
            MigrateError::Unknown(_)
            | MigrateError::Changed(_)
            | MigrateError::Busy(_)
            | MigrateError::Refused(_) => Self::Failed(error.into()),
            MigrateError::NoSuchRevision(_)
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
