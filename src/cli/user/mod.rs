//! `post-api user`: manages accounts, even while the service runs. The service reads the caller
//! from the database for each request, so a change takes effect at once.

mod changes;
mod list;
mod password;

use clap::{ArgGroup, Args, Subcommand};

use self::password::PasswordArguments;
use super::SourceArguments;
use super::exit::Exit;
use super::operator::{self, log_all};
use super::output::print;
use super::setup::{block_on, check_revision, open_admin};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, OperatorSettings};
use crate::domain::event::EventKind;

#[derive(Debug, Args)]
pub(super) struct UserArguments {
    #[command(subcommand)]
    command: UserCommand,
    #[command(flatten)]
    source: SourceArguments,
}

/// The e-mail of an account.
#[derive(Debug, Args)]
struct EmailArgument {
    /// E-mail of the account: compared as stored first, then in its normal form
    email: String,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List the accounts by ascending ID
    ///
    /// Prints a header and one line per account, with tabs between the fields: ID, e-mail, display name,
    /// time of creation, the time when an operator disabled it, and whether it is an administrator.
    /// Characters that control a terminal or break a line are escaped, like \u{202e}, and a backslash
    /// is \\.
    List(list::ListArguments),
    /// Create an account: exit code 1 if the e-mail is taken or the password is rejected
    Add {
        /// E-mail of the account, under the rules of sign-up
        email: String,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Set the password of an account and revoke all of its tokens and sessions: exit code 1 if there
    /// is no account or the password is rejected
    SetPassword {
        #[command(flatten)]
        account: EmailArgument,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Disable an account: exit code 1 if there is none
    ///
    /// All tokens and sessions of the account end, and a login gets the response to a wrong password.
    /// Its posts and votes stay, and its e-mail stays taken.
    Disable(EmailArgument),
    /// Let a disabled account log in again: exit code 1 if there is none
    Enable(EmailArgument),
    /// Make an account an administrator: exit code 1 if there is no such account
    ///
    /// An administrator reads the e-mails and the security events of all accounts, and statistics. An
    /// administrator changes nothing that other users cannot change. Only this command gives the right.
    GrantAdmin(EmailArgument),
    /// Revoke the administrator right of an account: exit code 1 if there is no such account
    ///
    /// The administration answers 403 to the next request of the account. Its tokens stay valid. If
    /// the account is no administrator, the command changes nothing, with exit code 0.
    RevokeAdmin(EmailArgument),
    /// Delete an account with its posts and votes: exit code 1 if there is none
    ///
    /// The account is closed at once. Then its rows are deleted in small transactions. If that fails,
    /// the command says so with exit code 1, and a running service deletes the rest.
    Delete {
        #[command(flatten)]
        account: EmailArgument,
        /// Do not ask. Required unless standard input is a terminal
        #[arg(long)]
        yes: bool,
    },
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
    let settings = operator::start(&arguments.source)?;
    block_on(execute(&arguments.command, &settings))
}

async fn execute(command: &UserCommand, settings: &OperatorSettings) -> Result<(), Exit> {
    match command {
        UserCommand::List(arguments) => list::run(arguments, &settings.database).await,
        UserCommand::Add { email, password } => changes::add(email, password, settings).await,
        UserCommand::SetPassword { account, password } => {
            changes::set_password(&account.email, password, settings).await
        }
        UserCommand::Disable(account) => changes::disable(&account.email, settings).await,
        UserCommand::Enable(account) => changes::enable(&account.email, settings).await,
        UserCommand::GrantAdmin(account) => changes::grant_admin(&account.email, settings).await,
        UserCommand::RevokeAdmin(account) => changes::revoke_admin(&account.email, settings).await,
        UserCommand::Delete { account, yes } => {
            changes::delete(&account.email, *yes, settings).await
        }
        UserCommand::SignOut { email: Some(email), .. } => {
            changes::sign_out(email, &settings.database).await
        }
        UserCommand::SignOut { email: None, .. } => sign_out_all(&settings.database).await,
    }
}

async fn sign_out_all(database: &Database) -> Result<(), Exit> {
    let mut admin = open_admin(database).await?;
    check_revision(admin.as_mut()).await?;
    let accounts = admin.sign_out_all(SystemClock.now()).await?;
    log_all(EventKind::SignedOutByOperator, accounts);
    print(&format!(
        "signed out {accounts} account{}
",
        if accounts == 1 { "" } else { "s" }
    ))
}
