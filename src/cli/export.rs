//! `post-api export`: writes users, posts and votes as lines of JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::SourceArguments;
use super::exit::Exit;
use super::operator::Operator;
use super::output::print;
use super::setup::{block_on, check_exists, check_revision, open_transfer};
use super::transfer_lines::{Counts, Header, LineWriter, VERSION};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, DatabaseSettings};
use crate::store::migrate::revision_at;
use crate::store::transfer::TransferError;

/// Write users, posts and votes as JSON Lines, from either store
///
/// All lines are of one moment, while the service runs. They have the hashes of passwords, so they are
/// not written to a terminal. Sessions, events and accounts that are being deleted are left out.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// File to create instead of writing to standard output; only its owner can read it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write only this account, without its hash, and its posts and votes
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    #[command(flatten)]
    source: SourceArguments,
}

pub(super) fn run(arguments: &ExportArguments) -> Result<(), Exit> {
    let source = arguments.source.read_with_warning()?;
    let settings = DatabaseSettings::load(&source)?;
    block_on(async {
        match &arguments.output {
            Some(path) => export_to_file(arguments, path, &settings.database).await,
            None => export_to_pipe(arguments, &settings.database).await,
        }
    })
}

async fn export_to_pipe(arguments: &ExportArguments, database: &Database) -> Result<(), Exit> {
    let output = io::stdout();
    if output.is_terminal() {
        let problem = "an export has the hashes of passwords: redirect it, or give --output FILE";
        return Err(Exit::Usage(problem.to_owned()));
    }
    match export(arguments, database, BufWriter::new(output)).await {
        // A reader such as `head` wants no more. It sees that the export has no end.
        Err(Exit::Failed(error)) if is_closed_pipe(&error) => Ok(()),
        exported => exported.map(|_| ()),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let lines = match error.downcast_ref() {
        Some(TransferError::Lines(source)) => source.downcast_ref::<io::Error>(),
        _ => error.downcast_ref(),
    };
    lines.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

async fn export_to_file(
    arguments: &ExportArguments,
    path: &Path,
    database: &Database,
) -> Result<(), Exit> {
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(0o600).open(path);
    let file = created.map_err(|error| {
        Exit::Usage(format!("could not create {}: {error}; name another file", path.display()))
    })?;
    let outcome = export_and_sync(arguments, database, file).await;
    if outcome.is_err() {
        let _ = std::fs::remove_file(path);
    }
    let Counts { users, posts, votes } = outcome?;
    print(&format!("wrote {}: {users} users, {posts} posts, {votes} votes\n", path.display()))
}

async fn export_and_sync(
    arguments: &ExportArguments,
    database: &Database,
    file: File,
) -> Result<Counts, Exit> {
    let output = BufWriter::new(file.try_clone().context("could not write the export")?);
    let counts = export(arguments, database, output).await?;
    file.sync_all().context("could not write the export")?;
    Ok(counts)
}

async fn export(
    arguments: &ExportArguments,
    database: &Database,
    output: impl Write + Send,
) -> Result<Counts, Exit> {
    check_exists(database)?;
    let mut admin = open_transfer(database).await?;
    check_revision(admin.as_mut()).await?;
    let store = match database {
        Database::Sqlite(_) => "sqlite",
        Database::Postgres(_) => "postgresql",
    };
    let header = Header {
        version: VERSION,
        revision: revision_at(admin.migrations(), admin.migrations().len()).to_owned(),
        at: SystemClock.now(),
        store: store.to_owned(),
    };
    let account = match &arguments.user {
        Some(email) => Some(Operator::open(database).await?.find(email).await?.user.id),
        None => None,
    };
    let writer = LineWriter::new(output, &header, account.is_some());
    let mut writer = writer.context("could not write the export")?;
    let mut write = |row| writer.write(row).map_err(|error| TransferError::Lines(error.into()));
    let next = admin.export(account, &mut write).await?;
    Ok(writer.finish(next).context("could not write the export")?)
}

impl From<TransferError> for Exit {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Migrate(error) => error.into(),
            TransferError::Store(error) => error.into(),
            error => Self::Failed(error.into()),
        }
    }
}
