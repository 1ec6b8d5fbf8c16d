//! `post-api import`: fills an empty database with the lines of an export.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use super::setup::{block_on, check_revision, open_transfer};
use super::transfer_lines::{Counts, LineReader};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, DatabaseSettings};
use crate::store::transfer::{OldTokens, TransferError};

/// Fill an empty database with an export, in either store
///
/// The database must be at the newest revision: run `post-api db upgrade` first. The import is one
/// transaction. If a line cannot be imported, its number and fault are printed, and the database stays
/// empty.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// Export to read, - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Keep tokens valid; use it only if the old instance stays off and the new one has its
    /// `SECRET_KEY`
    #[arg(long)]
    keep_tokens: bool,
    #[command(flatten)]
    source: SourceArguments,
}

const NOTHING_IMPORTED: &str = "nothing was imported";

pub(super) fn run(arguments: &ImportArguments) -> Result<(), Exit> {
    let source = arguments.source.read_with_warning()?;
    let settings = DatabaseSettings::load(&source)?;
    let tokens = if arguments.keep_tokens { OldTokens::Keep } else { OldTokens::Revoke };
    if arguments.file == Path::new("-") {
        return block_on(import(BufReader::new(stdin()), tokens, &settings.database));
    }
    let file = File::open(&arguments.file);
    let file = file.map_err(|error| {
        Exit::Usage(format!("could not read {}: {error}", arguments.file.display()))
    })?;
    block_on(import(BufReader::with_capacity(1 << 16, file), tokens, &settings.database))
}

async fn import(
    input: impl BufRead + Send,
    tokens: OldTokens,
    database: &Database,
) -> Result<(), Exit> {
    let mut admin = open_transfer(database).await?;
    check_revision(admin.as_mut()).await?;
    let mut lines = LineReader::new(input).context(NOTHING_IMPORTED)?;
    let imported = admin.import(&mut lines, tokens, SystemClock.now()).await;
    imported.map_err(|error| describe(error, lines.number))?;
    let Counts { users, posts, votes } = &lines.counts;
    let end = match tokens {
        OldTokens::Keep => "tokens of the exported database stay valid under the same SECRET_KEY",
        OldTokens::Revoke => "every token has ended: everybody must log in again",
    };
    print(&format!("imported {users} users, {posts} posts, {votes} votes\n{end}\n"))
}

/// PostgreSQL reports a refused row later than its line was read.
fn describe(error: TransferError, line: u64) -> Exit {
    match error {
        TransferError::Refused(_) => Exit::Failed(
            anyhow::Error::new(error)
                .context(format!("up to line {line}"))
                .context(NOTHING_IMPORTED),
        ),
        TransferError::Lines(_) => {
            Exit::Failed(anyhow::Error::new(error).context(NOTHING_IMPORTED))
        }
        error => error.into(),
    }
}
