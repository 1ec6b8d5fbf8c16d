//! Splits an e-mail address into its parts, before the parts are checked. It accepts quoted local
//! parts and the angle brackets of RFC 5322, 3.4, so that a later rejection can name them.
//! Not here: the rules of the parts.

use super::characters::{first_is_recomposed, is_atom_character, is_white_space};
use super::invalid_email::InvalidEmail;
use super::listing::{Spaces, display, reject_any, reject_unsafe};

/// The parts of an e-mail address.
pub(super) struct Parts<'text> {
    /// The local part without quotes and escapes.
    pub(super) local: String,
    /// Whether the local part was quoted.
    pub(super) quoted: bool,
    /// The text after the @-sign.
    pub(super) domain: &'text str,
    /// Whether the e-mail address was in angle brackets.
    pub(super) in_brackets: bool,
}

impl Parts<'_> {
    /// Joins the parts again, without escapes and without a display name.
    pub(super) fn as_given(&self) -> String {
        let quote = if self.quoted { "\"" } else { "" };
        format!("{quote}{}{quote}@{}", self.local, self.domain)
    }
}

/// Splits at the first @-sign outside quotes, after removing angle brackets.
pub(super) fn split(text: &str) -> Result<Parts<'_>, InvalidEmail> {
    let (left, right) = split_unquoted(text, &['@', '<'])?;
    let in_brackets = right.starts_with('<');
    let (local, domain) = if in_brackets {
        check_display_name(left.trim_end_matches(is_white_space))?;
        split_unquoted(without_brackets(right)?, &['@'])?
    } else {
        (left, right)
    };
    let (local, quoted) = unquote(local)?;
    Ok(Parts { local, quoted, domain: domain.strip_prefix('@').unwrap_or(domain), in_brackets })
}

fn split_unquoted<'text>(
    text: &'text str,
    separators: &[char],
) -> Result<(&'text str, &'text str), InvalidEmail> {
    let mut inside_quotes = false;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        let matters = if inside_quotes {
            escaped || matches!(character, '"' | '\\')
        } else {
            character == '"' || separators.contains(&character)
        };
        if !matters {
            continue;
        }
        let Some((before, rest)) = text.split_at_checked(position) else {
            continue;
        };
        if first_is_recomposed(rest) {
            continue;
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => inside_quotes = !inside_quotes,
            _ => return Ok((before, rest)),
        }
    }
    Err(missing_at_sign(text))
}

/// Returns the reason for a text without an @-sign. Names two look-alikes of the @-sign that input
/// methods produce.
fn missing_at_sign(text: &str) -> InvalidEmail {
    if text.contains('\u{FF20}') {
        return "The email address has the \"full-width\" at-sign (@) character instead of a regular at-sign.".into();
    }
    if text.contains('\u{FE6B}') {
        return "The email address has the \"small commercial at\" character instead of a regular at-sign.".into();
    }
    "An email address must have an @-sign.".into()
}

fn check_display_name(name: &str) -> Result<(), InvalidEmail> {
    let (name, quoted) = unquote(name)?;
    if !quoted {
        reject_any(
            "The display name contains invalid characters when not quoted",
            name.chars().filter(|&character| character != ' ' && !is_atom_character(character)),
        )?;
    }
    reject_unsafe(&name, Spaces::Allowed)
}

fn without_brackets(text: &str) -> Result<&str, InvalidEmail> {
    if !text.contains('>') {
        return Err("An open angle bracket at the start of the email address has to be followed by a close angle bracket at the end.".into());
    }
    let text = text.trim_end_matches(' ');
    if !text.ends_with('>') {
        return Err("There can't be anything after the email address.".into());
    }
    let text = text.trim_end_matches('>');
    Ok(text.strip_prefix('<').unwrap_or(text))
}

/// Removes quotes and escapes, and returns whether there were quotes.
fn unquote(text: &str) -> Result<(String, bool), InvalidEmail> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Ok((text.to_owned(), false));
    };
    let mut content = String::with_capacity(quoted.len());
    let mut escaped = false;
    let mut characters = quoted.chars();
    for character in characters.by_ref() {
        match character {
            _ if escaped => {
                content.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => break,
            _ => content.push(character),
        }
    }
    let extra: Vec<String> = characters.map(display).collect();
    if extra.is_empty() {
        return Ok((content, true));
    }
    Err(format!("Extra character(s) found after close quote: {}", extra.join(", ")).into())
}
