//! Target for `Forwarded` and `X-Forwarded-For`: the entry that a trusted proxy appends decides the
//! client IP. Header fields of an untrusted peer are ignored.

use std::net::IpAddr;

use axum::http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use post_api::server::TrustedProxies;

use crate::FuzzTarget;

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const UNTRUSTED_PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
const CLIENT: &str = "203.0.113.9";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub(crate) fn prepare() -> FuzzTarget {
    let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
    let client: IpAddr = CLIENT.parse().unwrap();
    Box::new(move |data| {
        let Some(sent) = headers(data) else { return };
        assert_eq!(proxies.client_ip(UNTRUSTED_PEER, &sent), UNTRUSTED_PEER, "{sent:?}");
        // Any client IP is correct here: only a panic is a bug.
        let _ = proxies.client_ip(PROXY, &sent);
        for (name, hop) in
            [(FORWARDED, format!("for={CLIENT}")), (X_FORWARDED_FOR, CLIENT.to_owned())]
        {
            let mut single = sent.clone();
            single.remove(if name == FORWARDED { X_FORWARDED_FOR } else { FORWARDED });
            for headers in [with_line(&single, &name, &hop), with_hop(&single, &name, &hop)] {
                assert_eq!(proxies.client_ip(PROXY, &headers), client, "{headers:?}");
            }
            // The other header field may have been written by the client.
            let found = proxies.client_ip(PROXY, &with_hop(&sent, &name, &hop));
            assert!(found == client || found == PROXY, "{found}: {sent:?}");
        }
    })
}

/// Parses the input into lines of the two header fields. The first byte of a line selects the
/// field.
fn headers(data: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let (selector, text) = line.split_first()?;
        let name = if selector % 2 == 0 { FORWARDED } else { X_FORWARDED_FOR };
        headers.append(name, HeaderValue::from_bytes(text).ok()?);
    }
    Some(headers)
}

/// Adds the hop as a proxy does that appends a line.
fn with_line(sent: &HeaderMap, name: &HeaderName, hop: &str) -> HeaderMap {
    let mut headers = sent.clone();
    headers.append(name, HeaderValue::from_str(hop).unwrap());
    headers
}

/// Adds the hop as a proxy does that extends the last line.
fn with_hop(sent: &HeaderMap, name: &HeaderName, hop: &str) -> HeaderMap {
    let mut lines: Vec<HeaderValue> = sent.get_all(name).iter().cloned().collect();
    let last = match lines.pop() {
        Some(line) => [line.as_bytes(), b", ", hop.as_bytes()].concat(),
        None => hop.as_bytes().to_vec(),
    };
    let mut headers = sent.clone();
    headers.remove(name);
    for line in lines.into_iter().chain([HeaderValue::from_bytes(&last).unwrap()]) {
        headers.append(name, line);
    }
    headers
}
