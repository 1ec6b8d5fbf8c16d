//! `post-api restore`: replaces the embedded database by a backup.

use std::path::PathBuf;

use clap::Args;

use super::SourceArguments;
use super::backup::refuse_pipe;
use super::exit::Exit;
use super::output::{print, print_warning};
use super::setup::{block_on, make_private_folder};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, DatabaseSettings, SettingError};
use crate::store::sqlite::{RestoreRequest, Restored, parse_sha256, restore};

/// Replace the embedded database by a backup, while the service is stopped
///
/// The backup is verified first, and compared with FILE.sha256 or --sha256. All tokens and sessions end,
/// also those of accounts that were created after the backup. The old database stays under another
/// name.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// Backup to restore
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// SHA-256 of FILE in hexadecimal digits, instead of the one in FILE.sha256
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    sha256: Option<String>,
    /// How many IDs to skip, so that IDs given after the backup are not given again
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    gap: u32,
    #[command(flatten)]
    source: SourceArguments,
}

const POSTGRES: &str = "`post-api restore` restores the embedded database; restore PostgreSQL with its \
    own tools, and then revoke all tokens:\n  pg_restore --clean --if-exists --dbname=DATABASE FILE\n  \
    post-api user sign-out --all";

fn sha256(text: &str) -> Result<String, String> {
    parse_sha256(text).ok_or_else(|| "give 64 hexadecimal digits".to_owned())
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<(), Exit> {
    let source = arguments.source.read_with_warning()?;
    let settings = DatabaseSettings::load(&source)?;
    let Database::Sqlite(database) = &settings.database else {
        return Err(Exit::Usage(POSTGRES.to_owned()));
    };
    refuse_pipe(&arguments.file)?;
    if !arguments.file.exists() {
        return Err(Exit::Usage(format!("there is no backup {}", arguments.file.display())));
    }
    make_private_folder(&settings.data_dir)?;
    let request = RestoreRequest {
        database,
        backup: &arguments.file,
        sha256: arguments.sha256.as_deref(),
        gap: arguments.gap,
        now: SystemClock.now(),
    };
    block_on(async {
        let restored = restore(request).await?;
        if !restored.has_checksum {
            warn_about_checksum(arguments);
        }
        print(&report(arguments, &restored))
    })
}

fn warn_about_checksum(arguments: &RestoreArguments) {
    let file = arguments.file.display();
    print_warning(&SettingError::new(
        "--sha256",
        format!("is missing, and there is no {file}.sha256"),
        "without it a changed byte inside a text is not noticed",
    ));
}

fn report(arguments: &RestoreArguments, restored: &Restored) -> String {
    let Restored { users, posts, revision, .. } = restored;
    let previous = restored.previous.as_ref().map_or(String::new(), |previous| {
        let previous = previous.display();
        format!("the database before is {previous}: delete it when you no longer need it\n")
    });
    format!(
        "restored {}: {users} users, {posts} posts, revision {revision}\n{previous}\
         new IDs begin {} after those of the backup\n\
         every token and session has ended: everybody must log in again\n",
        arguments.file.display(),
        arguments.gap
    )
}
