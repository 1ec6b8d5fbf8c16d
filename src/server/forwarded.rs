//! Parses the hops of `Forwarded` (RFC 7239) and `X-Forwarded-For` from right to left: the last hop
//! first. Several lines of a header form one list, in their order.
//!
//! The last proxy writes on the right. Text of the client is to the left of it, so it cannot change
//! how the part of the proxy is parsed, even with an open quotation mark.
//!
//! Not here: which hops are trusted, see `trusted_proxies.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderName;
use axum::http::header::{FORWARDED, HeaderMap};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the hops of `X-Forwarded-For`. `None` is a hop that cannot be parsed.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    elements(headers, X_FORWARDED_FOR).map(|element| node(text(element)?))
}

/// Returns the hops of `Forwarded`. `None` is a hop that cannot be parsed or has no IP address.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    elements(headers, FORWARDED).map(|element| {
        let mut named = FromRight::new(element, b';').filter_map(|pair| for_value(text(pair)?));
        let value = named.next()?;
        if named.next().is_some() { None } else { node(value) }
    })
}

/// Returns the elements of all lines of the header, without empty elements.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter().rev();
    let elements = lines.flat_map(|line| FromRight::new(line.as_bytes(), b','));
    elements.filter(|element| !element.trim_ascii().is_empty())
}

/// Splits at separators outside quotation marks, the last part first.
struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> FromRight<'a> {
    fn new(bytes: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(bytes), separator }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut is_quoted = false;
        let end = rest.iter().rposition(|&byte| {
            is_quoted ^= byte == b'"';
            byte == self.separator && !is_quoted
        });
        let Some((before, part)) = end.and_then(|end| rest.split_at_checked(end)) else {
            return Some(rest);
        };
        self.rest = Some(before);
        part.get(1..)
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(str::trim_ascii)
}

/// Returns the value of `for=`, without its quotation marks.
fn for_value(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=')?;
    if !name.eq_ignore_ascii_case("for") {
        return None;
    }
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(quoted.unwrap_or(value))
}

/// Parses the IP address of a hop, with or without a port. IPv6 may have brackets.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(text) = text.strip_prefix('[') {
        let (address, port) = text.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_whole.then(|| IpAddr::V6(address).to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// Accepts up to five digits, or an obfuscated port (RFC 7239, 6.4).
fn is_port(text: &str) -> bool {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number || text.strip_prefix('_').is_some_and(|name| !name.is_empty())
}
