//! `post-api backup`: copies the embedded database into a verified file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use crate::config::{Database, DatabaseSettings};
use crate::key_store::KEYS_FILE;
use crate::store::sqlite::{Backup, BackupError, back_up, check_source};

/// Copy the embedded database into a verified file, while the service runs
///
/// The backup has every write that was acknowledged before the command began. It gets its name only
/// after each page, the schema and the counts of votes were verified. FILE.sha256 has its SHA-256, as
/// `sha256sum --check` reads it.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// File to write; only its owner can read it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    source: SourceArguments,
}

const POSTGRES: &str = "`post-api backup` copies the embedded database; back up PostgreSQL with its own \
    tools:\n  pg_dump --format=custom --file=FILE DATABASE\n  pg_basebackup --pgdata=FOLDER \
    --wal-method=stream";

pub(super) fn run(arguments: &BackupArguments) -> Result<(), Exit> {
    let source = arguments.source.read_with_warning()?;
    let settings = DatabaseSettings::load(&source)?;
    let Database::Sqlite(database) = &settings.database else {
        return Err(Exit::Usage(POSTGRES.to_owned()));
    };
    refuse_pipe(&arguments.file)?;
    check_source(database)?;
    let backup = back_up(database, &arguments.file, arguments.force)?;
    print(&report(&arguments.file, &backup, &settings.data_dir))
}

/// A backup cannot be verified in a pipe.
pub(super) fn refuse_pipe(file: &Path) -> Result<(), Exit> {
    if file == Path::new("-") {
        let problem = "a backup is a file, because it is verified: name one instead of -";
        return Err(Exit::Usage(problem.to_owned()));
    }
    Ok(())
}

fn report(file: &Path, backup: &Backup, data_dir: &Path) -> String {
    const UNVERIFIED: &str = "note: the counts of votes were not verified, because the database is not \
                              at the newest revision\n";
    let Backup { bytes, users, posts, revision, .. } = backup;
    let note = if backup.has_verified_counts { "" } else { UNVERIFIED };
    format!(
        "wrote {}: {bytes} bytes, {users} users, {posts} posts, revision {revision}\n{note}\
         the backup has no secret that signs tokens: back up {} or SECRET_KEY separately\n",
        file.display(),
        data_dir.join(KEYS_FILE).display()
    )
}

impl From<BackupError> for Exit {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Path { .. } => Self::Usage(error.to_string()),
            BackupError::Migrate(error) => error.into(),
            BackupError::Store(error) => error.into(),
            error => Self::Failed(error.into()),
        }
    }
}
