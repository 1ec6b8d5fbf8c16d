//! Rejects characters, and lists them in the reason. The list quotes visible characters. It names
//! other characters, which would vanish from the message or garble it: by their Unicode name, or by
//! their code point if they have no name.
//! Not here: the classes of characters, see `characters.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::characters::{Kind, kind};
use super::invalid_email::InvalidEmail;

/// Whether the checked text may contain spaces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spaces {
    /// In quoted strings and display names.
    Allowed,
    /// Everywhere else.
    Rejected,
}

/// Returns an error if there are any characters. The reason is the sentence, a colon and the list
/// of characters without duplicates, sorted by their listed text.
pub(super) fn reject_any(
    sentence: &str,
    characters: impl Iterator<Item = char>,
) -> Result<(), InvalidEmail> {
    let shown: BTreeSet<String> = characters.map(display).collect();
    reject_listed(sentence, shown)
}

/// Rejects characters that are invisible or change how the text around them looks: hidden
/// characters, spaces unless allowed, and a combining mark at the start of the text, which would
/// join the character before the text.
pub(super) fn reject_unsafe(text: &str, spaces: Spaces) -> Result<(), InvalidEmail> {
    let unsafe_characters = text
        .chars()
        .enumerate()
        .filter(|&(index, character)| match kind(character) {
            Kind::Visible => false,
            Kind::Mark => index == 0,
            Kind::Space => spaces == Spaces::Rejected,
            Kind::Hidden => true,
        })
        .map(|(_, character)| character);
    reject_any_by_code_point("The email address contains unsafe characters", unsafe_characters)
}

/// Like [`reject_any`], but sorts the list by code point.
fn reject_any_by_code_point(
    sentence: &str,
    characters: impl Iterator<Item = char>,
) -> Result<(), InvalidEmail> {
    let distinct: BTreeSet<char> = characters.collect();
    reject_listed(sentence, distinct.into_iter().map(display))
}

/// Returns the listed text of a character.
pub(super) fn display(character: char) -> String {
    match character {
        '\\' => "\"\\\"".to_owned(),
        '\'' => "\"'\"".to_owned(),
        _ if is_visible(character) => format!("'{character}'"),
        _ => unicode_names2::name(character)
            .map_or_else(|| code_point(character), |name| name.to_string()),
    }
}

/// Returns the text in quotes, with escapes for characters that cannot be shown.
pub(super) fn quote(text: &str) -> String {
    let delimiter = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(delimiter);
    for character in text.chars() {
        match character {
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == delimiter => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ if is_printable(character) => quoted.push(character),
            _ => push_escape(&mut quoted, character),
        }
    }
    quoted.push(delimiter);
    quoted
}

fn reject_listed(
    sentence: &str,
    shown: impl IntoIterator<Item = String>,
) -> Result<(), InvalidEmail> {
    let shown: Vec<String> = shown.into_iter().collect();
    if shown.is_empty() {
        return Ok(());
    }
    Err(format!("{sentence}: {}.", shown.join(", ")).into())
}

fn is_visible(character: char) -> bool {
    kind(character) == Kind::Visible
}

fn is_printable(character: char) -> bool {
    character == ' ' || matches!(kind(character), Kind::Visible | Kind::Mark)
}

fn code_point(character: char) -> String {
    let number = u32::from(character);
    if number < 0xFFFF { format!("U+{number:04X}") } else { format!("U+{number:08X}") }
}

fn push_escape(text: &mut String, character: char) {
    let number = u32::from(character);
    // Writing to a String cannot fail.
    let _ = match number {
        0..=0xFF => write!(text, "\\x{number:02x}"),
        0x100..=0xFFFF => write!(text, "\\u{number:04x}"),
        _ => write!(text, "\\U{number:08x}"),
    };
}
