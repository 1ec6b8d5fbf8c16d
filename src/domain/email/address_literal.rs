//! Address literals: IP addresses in brackets (RFC 5321, 4.1.3), as in `ann@[192.0.2.1]`. All of
//! them are rejected, because mail to a bare IP address is nearly always a mistake or abuse. They
//! are parsed only so that the rejection of a mistyped literal states the precise reason.

use super::invalid_email::InvalidEmail;
use super::listing::{quote, reject_any};

/// Number of groups in an IPv6 address.
const GROUPS: usize = 8;

/// Returns the text between the brackets, or `None` if the part after the @-sign has no brackets.
pub(super) fn literal_in(domain: &str) -> Option<&str> {
    domain.strip_prefix('[')?.strip_suffix(']')
}

/// Returns the reason why a literal is rejected.
pub(super) fn rejection(literal: &str) -> InvalidEmail {
    check(literal)
        .err()
        .unwrap_or_else(|| "A bracketed IP address after the @-sign is not allowed here.".into())
}

fn check(literal: &str) -> Result<(), InvalidEmail> {
    if looks_like_version_4(literal) {
        return check_version_4(literal).map_err(|reason| {
            format!("The address in brackets after the @-sign is not valid: It is not an IPv4 address ({reason}) or is missing an address literal tag.").into()
        });
    }
    if let Some(address) = literal.strip_prefix("IPv6:") {
        return check_version_6(address).map_err(|reason| {
            format!("The IPv6 address in brackets after the @-sign is not valid ({reason}).").into()
        });
    }
    if !literal.contains(':') {
        return Err("The part after the @-sign in brackets is not an IPv4 address and has no address literal tag.".into());
    }
    reject_any(
        "The part after the @-sign contains invalid characters in brackets",
        literal.chars().filter(|character| !matches!(character, '\u{21}'..='\u{FA}')),
    )?;
    Err("The part after the @-sign contains an invalid address literal tag in brackets.".into())
}

/// Whether the text has only digits and periods. One line break at the end is ignored.
fn looks_like_version_4(literal: &str) -> bool {
    let line = literal.strip_suffix('\n').unwrap_or(literal);
    !line.is_empty() && line.chars().all(|character| character.is_ascii_digit() || character == '.')
}

fn check_version_4(address: &str) -> Result<(), String> {
    if address.is_empty() {
        return Err("Address cannot be empty".to_owned());
    }
    if address.split('.').count() != 4 {
        return Err(format!("Expected 4 octets in {}", quote(address)));
    }
    address.split('.').try_for_each(|octet| {
        check_octet(octet).map_err(|reason| format!("{reason} in {}", quote(address)))
    })
}

fn check_octet(octet: &str) -> Result<(), String> {
    if octet.is_empty() {
        return Err("Empty octet not permitted".to_owned());
    }
    if !octet.chars().all(|character| character.is_ascii_digit()) {
        return Err(format!("Only decimal digits permitted in {}", quote(octet)));
    }
    if octet.len() > 3 {
        return Err(format!("At most 3 characters permitted in {}", quote(octet)));
    }
    if octet != "0" && octet.starts_with('0') {
        return Err(format!("Leading zeros are not permitted in {}", quote(octet)));
    }
    if octet.parse::<u8>().is_err() {
        return Err(format!("Octet {octet} (> 255) not permitted"));
    }
    Ok(())
}

fn check_version_6(address: &str) -> Result<(), String> {
    if address.contains('/') {
        return Err(format!("Unexpected '/' in {}", quote(address)));
    }
    let Some((unscoped, scope)) = address.split_once('%') else {
        return check_groups(address);
    };
    if scope.is_empty() || scope.contains('%') {
        return Err(format!("Invalid IPv6 address: \"{}\"", quote(address)));
    }
    check_groups(unscoped)
}

fn check_groups(address: &str) -> Result<(), String> {
    if address.is_empty() {
        return Err("Address cannot be empty".to_owned());
    }
    let shown = quote(address);
    let mut groups: Vec<&str> = address.split(':').collect();
    if groups.len() < 3 {
        return Err(format!("At least 3 parts expected in {shown}"));
    }
    if let Some(embedded) = groups.pop_if(|last| last.contains('.')) {
        check_version_4(embedded).map_err(|reason| format!("{reason} in {shown}"))?;
        groups.extend(["0", "0"]);
    }
    if groups.len() > GROUPS + 1 {
        return Err(format!("At most {GROUPS} colons permitted in {shown}"));
    }
    check_gap(&groups).map_err(|reason| format!("{reason} in {shown}"))?;
    groups
        .into_iter()
        .filter(|group| !group.is_empty())
        .try_for_each(check_group)
        .map_err(|reason| format!("{reason} in {shown}"))
}

/// Rejects empty groups that are not part of a single `::`, and missing groups without a `::`.
fn check_gap(groups: &[&str]) -> Result<(), String> {
    let first_is_empty = groups.first().is_some_and(|group| group.is_empty());
    let last_is_empty = groups.last().is_some_and(|group| group.is_empty());
    let inner = groups.len().saturating_sub(2);
    let mut gaps = groups
        .iter()
        .enumerate()
        .skip(1)
        .take(inner)
        .filter(|(_, group)| group.is_empty())
        .map(|(index, _)| index);
    let gap = gaps.next();
    if gaps.next().is_some() {
        return Err("At most one '::' permitted".to_owned());
    }
    if gap.is_none() && groups.len() != GROUPS {
        return Err(format!("Exactly {GROUPS} parts expected without '::'"));
    }
    if first_is_empty && gap != Some(1) {
        return Err("Leading ':' only permitted as part of '::'".to_owned());
    }
    if last_is_empty && gap != Some(inner) {
        return Err("Trailing ':' only permitted as part of '::'".to_owned());
    }
    let present = groups.iter().filter(|group| !group.is_empty()).count();
    if gap.is_some() && present >= GROUPS {
        return Err(format!("Expected at most {} other parts with '::'", GROUPS - 1));
    }
    Ok(())
}

fn check_group(group: &str) -> Result<(), String> {
    if !group.chars().all(|character| character.is_ascii_hexdigit()) {
        return Err(format!("Only hex digits permitted in {}", quote(group)));
    }
    if group.len() > 4 {
        return Err(format!("At most 4 characters permitted in {}", quote(group)));
    }
    Ok(())
}
