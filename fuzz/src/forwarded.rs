//! Whom proxies name: whatever a client writes, what a trusted proxy adds at the end of it decides, and
//! what anybody else writes decides nothing.

use std::net::IpAddr;

use axum::http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use post_api::server::TrustedProxies;

use crate::Attack;

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
const CLIENT: &str = "203.0.113.9";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub(crate) fn open() -> Attack {
    let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
    let client: IpAddr = CLIENT.parse().unwrap();
    Box::new(move |data| {
        let Some(written) = headers(data) else { return };
        assert_eq!(proxies.client_ip(STRANGER, &written), STRANGER, "{written:?}");
        // Anybody, as long as it is found without a panic.
        let _ = proxies.client_ip(PROXY, &written);
        for (name, hop) in
            [(FORWARDED, format!("for={CLIENT}")), (X_FORWARDED_FOR, CLIENT.to_owned())]
        {
            let mut alone = written.clone();
            alone.remove(if name == FORWARDED { X_FORWARDED_FOR } else { FORWARDED });
            for headers in [with_line(&alone, &name, &hop), with_hop(&alone, &name, &hop)] {
                assert_eq!(proxies.client_ip(PROXY, &headers), client, "{headers:?}");
            }
            // Of the other one nobody knows who wrote it.
            let found = proxies.client_ip(PROXY, &with_hop(&written, &name, &hop));
            assert!(found == client || found == PROXY, "{found}: {written:?}");
        }
    })
}

/// Lines of the two headers; which one each is of says its first byte.
fn headers(data: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let (which, text) = line.split_first()?;
        let name = if which % 2 == 0 { FORWARDED } else { X_FORWARDED_FOR };
        headers.append(name, HeaderValue::from_bytes(text).ok()?);
    }
    Some(headers)
}

/// As a proxy that adds a line of its own.
fn with_line(written: &HeaderMap, name: &HeaderName, hop: &str) -> HeaderMap {
    let mut headers = written.clone();
    headers.append(name, HeaderValue::from_str(hop).unwrap());
    headers
}

/// As a proxy that goes on with the last line.
fn with_hop(written: &HeaderMap, name: &HeaderName, hop: &str) -> HeaderMap {
    let mut lines: Vec<HeaderValue> = written.get_all(name).iter().cloned().collect();
    let last = match lines.pop() {
        Some(line) => [line.as_bytes(), b", ", hop.as_bytes()].concat(),
        None => hop.as_bytes().to_vec(),
    };
    let mut headers = written.clone();
    headers.remove(name);
    for line in lines.into_iter().chain([HeaderValue::from_bytes(&last).unwrap()]) {
        headers.append(name, line);
    }
    headers
}
