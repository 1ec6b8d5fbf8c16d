//! The part before the @-sign: dot-separated atoms of RFC 5322, 3.2.3, widened by RFC 6531, 3.3
//! to characters beyond ASCII.
//!
//! Deliberately not here: a length of its own. The 64 bytes of RFC 5321, 4.5.3.1.1 are not
//! enforced by mail hosts in practice; the length of the whole address is.

use super::characters::{compose, is_atom_character};
use super::invalid_email::InvalidEmail;
use super::listing::{Spaces, reject_any, reject_unsafe};

/// The mailboxes of RFC 2142, which every host has to recognise in any case.
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

/// The local part in the form in which it is stored.
pub(super) fn normalize(local: &str, quoted: bool) -> Result<String, InvalidEmail> {
    let valid = check(local, quoted)?;
    let composed = compose(&valid);
    // Composition can yield characters that were not there before: U+037E becomes a semicolon.
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

/// The local part with quotes and escapes where it is valid only with them.
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
