//! The part after the @-sign as a domain name: host names of RFC 952 and RFC 1123, and
//! international names in one form by the mapping of UTS 46.
//! Not here: the rules of a single international label, see `label.rs`. There is no list of
//! top-level domains: it would soon be out of date.

use icu_normalizer::uts46::Uts46MapperBorrowed;

use super::invalid_email::InvalidEmail;
use super::label;
use super::length::counted;
use super::listing::{Spaces, reject_any, reject_unsafe};

/// The 255 bytes of RFC 1035, 2.3.4, minus the two bytes that only the wire format has.
const MAX_NAME_BYTES: usize = 253;

/// Top-level domains that cannot receive mail (RFC 3172, RFC 6761, RFC 6762, RFC 7686).
const SPECIAL_USE: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];

const INVALID_CHARACTERS: &str = "The part after the @-sign contains invalid characters";

/// A valid domain name in its two forms.
pub(super) struct DomainName {
    /// With A-labels, as the DNS knows it.
    pub(super) ascii: String,
    /// With U-labels, as people read it.
    pub(super) unicode: String,
}

/// Checks a domain name and returns it in lower case.
pub(super) fn normalize(given: &str) -> Result<DomainName, InvalidEmail> {
    let mapped = map(given)?;
    check_separators(&mapped)?;
    let ascii = label::ascii_form(&mapped)?;
    check_lengths(&ascii, given)?;
    check_top_level(&ascii)?;
    let unicode = label::unicode_form(&ascii)?;
    // Decoding an A-label can yield a joiner. A joiner can be valid in a label, but is invisible.
    reject_unsafe(&unicode, Spaces::Rejected)?;
    Ok(DomainName { ascii, unicode })
}

fn map(given: &str) -> Result<String, InvalidEmail> {
    reject_any(
        INVALID_CHARACTERS,
        given.chars().filter(|&character| !is_name_character(character)),
    )?;
    reject_unsafe(given, Spaces::Rejected)?;
    reject_any(
        INVALID_CHARACTERS,
        given.chars().filter(|&character| has_hidden_period(character)),
    )?;
    let mapped: String = Uts46MapperBorrowed::new().map_normalize(given.chars()).collect();
    if mapped.is_empty() || mapped.contains(char::REPLACEMENT_CHARACTER) {
        return Err(label::invalid_idna());
    }
    reject_any(
        "The part after the @-sign contains invalid characters after Unicode normalization",
        mapped.chars().filter(|&character| !is_name_character(character)),
    )?;
    Ok(mapped)
}

fn is_name_character(character: char) -> bool {
    !character.is_ascii() || character.is_ascii_alphanumeric() || matches!(character, '-' | '.')
}

/// Whether the character is a leader, number or abbreviation that contains a period. The mapping
/// would silently turn that period into a label separator.
/// The full-width full stop is allowed: it is the period of East Asian keyboards.
fn has_hidden_period(character: char) -> bool {
    matches!(
        character,
        '\u{2024}'..='\u{2026}'
            | '\u{2488}'..='\u{249B}'
            | '\u{33C2}'
            | '\u{33C7}'
            | '\u{33D8}'
            | '\u{FE52}'
            | '\u{1F100}'
    )
}

fn check_separators(name: &str) -> Result<(), InvalidEmail> {
    let rules = [
        (name.ends_with('.'), "An email address cannot end with a period."),
        (
            name.starts_with('.'),
            "An email address cannot have a period immediately after the @-sign.",
        ),
        (name.contains(".."), "An email address cannot have two periods in a row."),
        (name.ends_with('-'), "An email address cannot end with a hyphen."),
        (
            name.starts_with('-'),
            "An email address cannot have a hyphen immediately after the @-sign.",
        ),
        (
            name.contains(".-") || name.contains("-."),
            "An email address cannot have a period and a hyphen next to each other.",
        ),
        (
            name.split('.').any(label::is_reserved),
            "An email address cannot have two letters followed by two dashes immediately after the @-sign or after a period, except Punycode.",
        ),
    ];
    match rules.into_iter().find(|&(broken, _)| broken) {
        Some((_, reason)) => Err(reason.into()),
        None => Ok(()),
    }
}

fn check_lengths(ascii: &str, given: &str) -> Result<(), InvalidEmail> {
    if let Some(excess) = excess(ascii, MAX_NAME_BYTES) {
        let count = if ascii == given {
            format!("{} too many", counted(excess, "character"))
        } else {
            format!("{} too many after IDNA encoding", counted(excess, "byte"))
        };
        return Err(format!("The email address is too long after the @-sign ({count}).").into());
    }
    let too_long = ascii.split('.').find_map(|label| excess(label, label::MAX_LABEL_BYTES));
    too_long.map_or(Ok(()), |excess| {
        let count = counted(excess, "character");
        Err(format!("After the @-sign, periods cannot be separated by so many characters ({count} too many).").into())
    })
}

fn excess(text: &str, limit: usize) -> Option<usize> {
    text.len().checked_sub(limit).filter(|&excess| excess > 0)
}

/// Rejects a name unless its top-level domain can receive mail.
fn check_top_level(ascii: &str) -> Result<(), InvalidEmail> {
    let Some((_, top_level)) = ascii.rsplit_once('.') else {
        return Err("The part after the @-sign is not valid. It should have a period.".into());
    };
    if !top_level.ends_with(|character: char| character.is_ascii_alphabetic()) {
        return Err(
            "The part after the @-sign is not valid. It is not within a valid top-level domain."
                .into(),
        );
    }
    if SPECIAL_USE.contains(&top_level) {
        return Err("The part after the @-sign is a special-use or reserved name that cannot be used with email.".into());
    }
    Ok(())
}
