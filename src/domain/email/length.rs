//! The length of the whole e-mail address: at most 254 bytes (RFC 5321, 4.5.3.1.3 with erratum 1690
//! to RFC 3696). The limit applies to each form that mail programs use, in UTF-8 (RFC 6531).
//! Not here: the lengths of the parts.

use super::invalid_email::InvalidEmail;

const MAX_ADDRESS_BYTES: usize = 254;

/// The forms of an e-mail address. Each must be within the limit.
pub(super) struct Forms<'text> {
    /// As the client wrote it.
    pub(super) given: &'text str,
    /// As it is stored.
    pub(super) normal: &'text str,
    /// With the domain in ASCII.
    pub(super) on_the_wire: &'text str,
}

/// Rejects an e-mail address if one of its forms is too long.
pub(super) fn check(forms: &Forms<'_>) -> Result<(), InvalidEmail> {
    if let Some(bytes) = bytes_beyond(forms.given) {
        let count = count_beyond(forms.given, bytes);
        return Err(format!("The email address is too long ({count} too many).").into());
    }
    check_converted(forms.normal, "after normalization")?;
    check_converted(forms.on_the_wire, "when the part after the @-sign is converted to IDNA ASCII")
}

/// Returns a count with its noun in singular or plural: `1 character`, `2 characters`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn bytes_beyond(address: &str) -> Option<usize> {
    address.len().checked_sub(MAX_ADDRESS_BYTES).filter(|&bytes| bytes > 0)
}

/// Returns how many characters are too many. If the characters differ in width, the result is a
/// range: from only the widest characters to only characters of one byte.
fn count_beyond(address: &str, bytes: usize) -> String {
    let widest = address.chars().map(char::len_utf8).max().unwrap_or(1);
    let fewest = (bytes / widest).max(1);
    if fewest == bytes {
        return counted(bytes, "character");
    }
    format!("{fewest}-{}", counted(bytes, "character"))
}

fn check_converted(address: &str, when: &str) -> Result<(), InvalidEmail> {
    let Some(bytes) = bytes_beyond(address) else {
        return Ok(());
    };
    let count = counted(bytes, "byte");
    Err(format!("The email address is too long {when} ({count} too many).").into())
}
