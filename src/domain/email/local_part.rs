//! The part before the @-sign: atoms of RFC 5322, 3.2.3 between periods, extended by RFC 6531, 3.3
//! to characters beyond ASCII. It has no length limit of its own: in practice, mail hosts do not
//! enforce the 64 bytes of RFC 5321, 4.5.3.1.1, but only the length of the whole e-mail address.
//! Not here: that length, see `length.rs`.

use super::characters::{compose, is_atom_character};
use super::invalid_email::InvalidEmail;
use super::listing::{Spaces, reject_any, reject_unsafe};

/// The mailboxes of RFC 2142, which every host must recognize in upper and lower case.
const ROLE_MAILBOXES: [&str; 15] = [
    "info",
    "marketing",
    "sales",
    "support",
    "abuse",
    "noc",
    "security",
    "postmaster",
    "hostmaster",
    "usenet",
    "news",
    "webmaster",
    "www",
    "uucp",
    "ftp",
];

/// Returns the local part in its stored form.
pub(super) fn normalize(local: &str, quoted: bool) -> Result<String, InvalidEmail> {
    let valid = check(local, quoted)?;
    let composed = compose(&valid);
    // Composition can yield other characters: U+037E becomes a semicolon.
    if composed != valid {
        check(&composed, quoted)
            .map_err(|error| format!("After Unicode normalization: {}", error.reason()))?;
    }
    if quoted {
        return Err("Quoting the part before the @-sign is not allowed here.".into());
    }
    if is_role_mailbox(&valid) {
        return Ok(valid.to_ascii_lowercase());
    }
    Ok(composed.into_owned())
}

/// Returns a valid local part, with quotes and escapes if it needs them.
fn check(local: &str, quoted: bool) -> Result<String, InvalidEmail> {
    if local.is_empty() {
        return Err("There must be something before the @-sign.".into());
    }
    if is_dot_atom(local) {
        reject_unsafe(local, Spaces::Rejected)?;
        return Ok(local.to_owned());
    }
    if quoted {
        reject_any(
            "The email address contains invalid characters in quotes before the @-sign",
            local.chars().filter(char::is_ascii_control),
        )?;
        reject_unsafe(local, Spaces::Allowed)?;
        return Ok(quote(local));
    }
    reject_any(
        "The email address contains invalid characters before the @-sign",
        local.chars().filter(|&character| character != '.' && !is_atom(character)),
    )?;
    Err(misplaced_period(local))
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

fn is_atom(character: char) -> bool {
    !character.is_ascii() || is_atom_character(character)
}

fn misplaced_period(local: &str) -> InvalidEmail {
    if local.ends_with('.') {
        return "An email address cannot have a period immediately before the @-sign.".into();
    }
    if local.starts_with('.') {
        return "An email address cannot start with a period.".into();
    }
    "An email address cannot have two periods in a row.".into()
}

fn quote(local: &str) -> String {
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

fn is_role_mailbox(local: &str) -> bool {
    ROLE_MAILBOXES.iter().any(|mailbox| mailbox.eq_ignore_ascii_case(local))
}
