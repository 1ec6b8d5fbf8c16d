//! `post-api secret`: rotates the secret that the service generated.

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
    /// Rotate the generated secret: the service signs with a new one after its next restart
    ///
    /// Old secrets keep verifying until their tokens have expired. The next rotation drops those that no
    /// token needs any more.
    Rotate {
        /// Drop all old secrets: the next restart revokes every access token
        #[arg(long)]
        drop_old: bool,
    },
}

pub(super) fn run(arguments: &SecretArguments) -> Result<(), Exit> {
    let settings = Settings::load(&arguments.source.read_with_warning()?)?;
    let SecretCommand::Rotate { drop_old } = arguments.command;
    check_signs_with_generated(&settings)?;
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

/// Rejects settings that make the service sign with another key than the generated secret.
fn check_signs_with_generated(settings: &Settings) -> Result<(), Exit> {
    let problem = if !settings.algorithm.is_symmetric() {
        format!(
            "ALGORITHM={} signs with SIGNING_KEYS: put a new key first in it, as docs/keys.md says",
            settings.algorithm.name()
        )
    } else if settings.has_secret() {
        format!(
            "SECRET_KEY or SECRET_KEYS is given, so {KEYS_FILE} is not used: rotate with SECRET_KEYS, as \
             docs/keys.md says"
        )
    } else if matches!(settings.database, Database::Postgres(_)) {
        "several processes may serve PostgreSQL and need the same secret: rotate with SECRET_KEYS, as \
         docs/keys.md says"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(Exit::Usage(problem))
}
