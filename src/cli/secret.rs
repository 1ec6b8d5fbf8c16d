//! `post-api secret`: the secret that the service made for itself.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, Settings};
use crate::key_store::{KEYS_FILE, KeyStore, OldSecrets};

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
    let old =
        if drop_old { OldSecrets::Drop } else { OldSecrets::KeepFor(settings.token_lifetime) };
    let kept = KeyStore::new(&settings.data_dir, settings.algorithm)
        .rotate(SystemClock.now(), old)
        .context("could not rotate the secret; the old one is unchanged")?;
    print(&match kept {
        0 => "restart the service to sign with the new secret and to revoke every access token"
            .to_owned(),
        1 => "restart the service to sign with the new secret; 1 old secret still verifies"
            .to_owned(),
        kept => {
            format!(
                "restart the service to sign with the new secret; {kept} old secrets still verify"
            )
        }
    })
}

/// Only a secret that the service made for itself is where it can be replaced.
fn check_place(settings: &Settings) -> Result<(), Exit> {
    let problem = if !settings.algorithm.is_symmetric() {
        format!("ALGORITHM={:?} signs with SIGNING_KEYS: put a new key first", settings.algorithm)
    } else if settings.has_secret() {
        format!(
            "SECRET_KEY or SECRET_KEYS is given, so that {KEYS_FILE} signs nothing: put a new key \
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
