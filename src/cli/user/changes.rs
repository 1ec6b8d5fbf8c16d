//! `post-api user add`, `set-password`, `sign-out`, `disable`, `enable`, `grant-admin`,
//! `revoke-admin` and `delete`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::password::PasswordArguments;
use crate::cli::exit::Exit;
use crate::cli::list_lines::escape;
use crate::cli::operator::{Operator, log, no_account};
use crate::cli::output::print;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Database, OperatorSettings};
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::user::{Account, NewUser, UserId};
use crate::store::CreateUser;

pub(super) async fn add(
    email: &str,
    password: &PasswordArguments,
    settings: &OperatorSettings,
) -> Result<(), Exit> {
    let email = Email::parse(email).map_err(|invalid| {
        let reason = invalid.reason();
        Exit::Usage(format!("{} is not a valid e-mail: {reason}", escape(email)))
    })?;
    let taken = || {
        Exit::CheckFailed(vec![format!(
            "another account has the e-mail {}",
            escape(email.as_str())
        )])
    };
    let mut operator = Operator::open(&settings.database).await?;
    // Before the command asks for a password.
    if operator.store.find_account(&email.clone().into()).await?.is_some() {
        return Err(taken());
    }
    let password_hash = password.read_hash(settings).await?;
    let new = NewUser { email: email.clone(), password_hash, created_at: SystemClock.now() };
    match operator.store.add_account(new).await? {
        CreateUser::EmailTaken => Err(taken()),
        CreateUser::Created(user) => {
            operator.record(user.id, EventKind::CreatedByOperator).await;
            print(&format!("added account {}", user.id.0))
        }
    }
}

pub(super) async fn set_password(
    email: &str,
    password: &PasswordArguments,
    settings: &OperatorSettings,
) -> Result<(), Exit> {
    let mut operator = Operator::open(&settings.database).await?;
    let id = operator.find(email).await?.user.id;
    let password_hash = password.read_hash(settings).await?;
    if !operator.store.set_password(id, password_hash, SystemClock.now()).await? {
        return Err(no_account(email));
    }
    operator.record(id, EventKind::PasswordSetByOperator).await;
    print(&format!("set the password of account {}", id.0))
}

pub(super) async fn sign_out(email: &str, database: &Database) -> Result<(), Exit> {
    let mut operator = Operator::open(database).await?;
    let id = operator.find(email).await?.user.id;
    if !operator.store.sign_out_account(id, SystemClock.now()).await? {
        return Err(no_account(email));
    }
    operator.record(id, EventKind::SignedOutByOperator).await;
    print("signed out 1 account\n")
}

pub(super) async fn disable(email: &str, settings: &OperatorSettings) -> Result<(), Exit> {
    let mut operator = Operator::open(&settings.database).await?;
    let Account { user, disabled_at, .. } = operator.find(email).await?;
    if !operator.store.disable_account(user.id, SystemClock.now()).await? {
        return Err(no_account(email));
    }
    operator.record(user.id, EventKind::DisabledByOperator).await;
    let already = if disabled_at.is_some() { ", which was disabled already" } else { "" };
    print(&format!("disabled account {}{already}", user.id.0))
}

pub(super) async fn enable(email: &str, settings: &OperatorSettings) -> Result<(), Exit> {
    let mut operator = Operator::open(&settings.database).await?;
    let Account { user, disabled_at, .. } = operator.find(email).await?;
    if disabled_at.is_none() {
        return print(&format!("account {} is not disabled", user.id.0));
    }
    if !operator.store.enable_account(user.id).await? {
        return Err(no_account(email));
    }
    operator.record(user.id, EventKind::EnabledByOperator).await;
    print(&format!("enabled account {}", user.id.0))
}

pub(super) async fn grant_admin(email: &str, settings: &OperatorSettings) -> Result<(), Exit> {
    let mut operator = Operator::open(&settings.database).await?;
    let Account { user, disabled_at, is_admin } = operator.find(email).await?;
    if is_admin {
        return print(&format!("account {} is an administrator already", user.id.0));
    }
    if !operator.store.set_admin(user.id, true).await? {
        return Err(no_account(email));
    }
    operator.record(user.id, EventKind::AdminGrantedByOperator).await;
    let disabled = if disabled_at.is_some() { ", which is disabled" } else { "" };
    print(&format!("made account {} an administrator{disabled}", user.id.0))
}

pub(super) async fn revoke_admin(email: &str, settings: &OperatorSettings) -> Result<(), Exit> {
    let mut operator = Operator::open(&settings.database).await?;
    let Account { user, is_admin, .. } = operator.find(email).await?;
    if !is_admin {
        return print(&format!("account {} is no administrator", user.id.0));
    }
    if !operator.store.set_admin(user.id, false).await? {
        return Err(no_account(email));
    }
    operator.record(user.id, EventKind::AdminRevokedByOperator).await;
    print(&format!("account {} is no administrator any more", user.id.0))
}

pub(super) async fn delete(
    email: &str,
    is_confirmed: bool,
    settings: &OperatorSettings,
) -> Result<(), Exit> {
    let mut operator = Operator::open(&settings.database).await?;
    let user = operator.find(email).await?.user;
    if !is_confirmed {
        confirm(user.id, &user.email)?;
    }
    if !operator.store.close_account(user.id).await? {
        return Err(no_account(email));
    }
    log(user.id, EventKind::DeletedByOperator);
    operator.store.delete_rows(user.id).await.map_err(|error| {
        let number = user.id.0;
        anyhow::Error::new(error).context(format!(
            "account {number} is closed, but some of its rows remain until a running service \
             deletes them"
        ))
    })?;
    print(&format!("deleted account {}", user.id.0))
}

/// Asks on the terminal whether to delete the account.
fn confirm(UserId(id): UserId, email: &Email) -> Result<(), Exit> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let problem = "there is no terminal to ask on: give --yes to delete the account";
        return Err(Exit::Usage(problem.to_owned()));
    }
    let question = format!(
        "Delete account {id} ({}) with its posts and votes? Type yes to delete: ",
        escape(email.as_str())
    );
    let mut answer = String::new();
    let mut terminal = std::io::stderr();
    terminal
        .write_all(question.as_bytes())
        .and_then(|()| terminal.flush())
        .and_then(|()| input.lock().read_line(&mut answer))
        .context("could not ask on the terminal")?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Exit::CheckFailed(vec!["the account was not deleted".to_owned()]))
}
