//! `post-api secret`: the secret that the service made for itself.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::SourceArguments;
use super::exit::Exit;
use super::inspect::print;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, SECRET_FILE, Settings, rotate_secret};

/// How long a service may go on signing with the secret before after the next one has begun.
const HANDOVER: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(super) struct SecretArguments {
    #[command(subcommand)]
    command: SecretCommand,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Put a new secret before the one that the service made; the next start signs with it
    Rotate {
        /// Keep no old secret: every token that was given out ends with the next start
        #[arg(long)]
        drop_old: bool,
    },
}

pub(super) fn run(arguments: &SecretArguments) -> Result<(), Exit> {
    let settings = Settings::load(&arguments.source.read()?)?;
    let SecretCommand::Rotate { drop_old } = arguments.command;
    check_place(&settings)?;
    let last_use = settings.token_lifetime.saturating_add(HANDOVER);
    let old_tokens_end = SystemClock.now().checked_sub(last_use);
    let kept_since = old_tokens_end.ok().filter(|_| !drop_old);
    let kept = rotate_secret(&settings.data_dir, settings.algorithm, kept_since)
        .context("the secret cannot be replaced, and is as it was")?;
    print(&match kept {
        0 => "the next start signs with a new secret, and every token from before ends".to_owned(),
        kept => format!("the next start signs with a new secret; {kept} from before still verify"),
    })
}

/// Only a secret that the service made for itself is where it can be replaced.
fn check_place(settings: &Settings) -> Result<(), Exit> {
    let problem = if !settings.algorithm.is_symmetric() {
        format!("ALGORITHM={:?} signs with SIGNING_KEYS: put a new key first", settings.algorithm)
    } else if settings.has_secret() {
        format!(
            "SECRET_KEY or SECRET_KEYS is given, so that {SECRET_FILE} signs nothing: put a new key \
             into SECRET_KEYS, as the README says"
        )
    } else if matches!(settings.database, Database::Postgres(_)) {
        "several processes may serve PostgreSQL, and all must have the new key: put it into \
         SECRET_KEYS, as the README says"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(Exit::Usage(problem))
}
