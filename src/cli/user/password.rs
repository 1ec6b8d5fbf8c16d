//! Reads the new password of a command: from the terminal or from standard input, never from an
//! argument, which every user of the machine can read.

use std::io::{IsTerminal as _, Read as _};
use std::num::NonZeroUsize;

use anyhow::Context as _;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::{Passwords, accept_password};
use crate::cli::exit::Exit;
use crate::config::OperatorSettings;
use crate::domain::policy::PasswordRules;
use crate::domain::user::PasswordHash;

#[derive(Debug, Args)]
pub(super) struct PasswordArguments {
    /// Read the password from standard input: one line. Without it, the command asks twice on the
    /// terminal
    #[arg(long)]
    password_stdin: bool,
    /// Accept a password that the rules for new passwords reject
    #[arg(long)]
    any_password: bool,
}

/// More bytes than the longest password has.
const MAX_BYTES: u64 = 64 * 1024;

impl PasswordArguments {
    /// Reads the password and returns its hash.
    ///
    /// # Errors
    /// [`Exit::CheckFailed`] if the rules reject it or the two entries differ, [`Exit::Usage`] if
    /// there is no terminal to ask on, or standard input is not one line of UTF-8.
    pub(super) async fn read_hash(
        &self,
        settings: &OperatorSettings,
    ) -> Result<PasswordHash, Exit> {
        let password = if self.password_stdin { read_line()? } else { ask()? };
        // Without the rules an empty password is still a mistake.
        let any =
            PasswordRules { minimum_length: 1, blocklist: false, forbidden_words: Vec::new() };
        let rules = if self.any_password { &any } else { &settings.password_rules };
        let password = accept_password(password.expose_secret(), rules)
            .map_err(|rejected| Exit::CheckFailed(vec![rejected.to_string()]))?;
        let passwords = Passwords::new(settings.argon2_params, NonZeroUsize::MIN)
            .context("could not start the hashing thread")?;
        Ok(passwords.hash(password).await.context("could not hash the password")?)
    }
}

fn ask() -> Result<SecretString, Exit> {
    if !std::io::stdin().is_terminal() {
        let problem = "there is no terminal to ask for the password: give --password-stdin";
        return Err(Exit::Usage(problem.to_owned()));
    }
    let prompt = |text: &str| -> Result<SecretString, Exit> {
        let read = rpassword::prompt_password(text).context("could not read the password")?;
        Ok(SecretString::from(read))
    };
    let password = prompt("New password: ")?;
    let again = prompt("Repeat the password: ")?;
    if password.expose_secret() != again.expose_secret() {
        return Err(Exit::CheckFailed(vec!["the two passwords differ".to_owned()]));
    }
    Ok(password)
}

/// Returns the only line of standard input, without its end.
fn read_line() -> Result<SecretString, Exit> {
    let mut input = String::new();
    let read = std::io::stdin().take(MAX_BYTES).read_to_string(&mut input);
    let input = SecretString::from(input);
    let refused = |problem: &str| {
        Exit::Usage(format!("{problem} on standard input: give the password as one line of UTF-8"))
    };
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(refused("there is no UTF-8"));
        }
        read => read.context("could not read standard input")?,
    };
    let line = input.expose_secret();
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(refused("there is more than one line"));
    }
    Ok(SecretString::from(line))
}
