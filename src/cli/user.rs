//! `post-api user`: manages accounts, even while the service runs. The service reads the caller
//! from the database for each request, so a change takes effect at once.

use clap::{ArgGroup, Args, Subcommand};

use super::SourceArguments;
use super::exit::Exit;
use super::output::print;
use super::setup::{block_on, check_revision, open_admin};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, DatabaseSettings};
use crate::domain::email::TypedEmail;
use crate::store::migrate::SignOutTarget;

#[derive(Debug, Args)]
pub(super) struct UserArguments {
    #[command(subcommand)]
    command: UserCommand,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Revoke all tokens and sessions of an account, or of every account: exit code 1 if there is none
    ///
    /// Run it with --all after restoring a backup: a restored database accepts tokens again that were
    /// revoked after the backup was made. The e-mail is compared as stored first, then in its normal
    /// form.
    #[command(group(ArgGroup::new("accounts").required(true)))]
    SignOut {
        /// E-mail of the account
        #[arg(group = "accounts")]
        email: Option<String>,
        /// Revoke the tokens of every account
        #[arg(long, group = "accounts")]
        all: bool,
    },
}

pub(super) fn run(arguments: &UserArguments) -> Result<(), Exit> {
    let source = arguments.source.read_with_warning()?;
    let settings = DatabaseSettings::load(&source)?;
    block_on(execute(&arguments.command, &settings.database))
}

async fn execute(command: &UserCommand, database: &Database) -> Result<(), Exit> {
    let UserCommand::SignOut { email, .. } = command;
    let mut admin = open_admin(database).await?;
    check_revision(admin.as_mut()).await?;
    let typed = email.as_deref().map(TypedEmail::new);
    let target = typed.as_ref().map_or(SignOutTarget::AllUsers, SignOutTarget::User);
    let count = admin.sign_out(target, SystemClock.now()).await?;
    match (count, email) {
        (0, Some(email)) => {
            Err(Exit::CheckFailed(vec![format!("no account has the e-mail {email}")]))
        }
        (1, _) => print("signed out 1 account\n"),
        (count, _) => print(&format!("signed out {count} accounts\n")),
    }
}
