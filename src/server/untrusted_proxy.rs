//! Notices a proxy that `TRUSTED_PROXIES` does not name. All clients behind it then share the limits
//! of one client, so a stranger can keep everyone from logging in.
//!
//! Not here: which proxies are trusted, see `trusted_proxies.rs`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::header::{FORWARDED, HeaderMap};

use super::forwarded::X_FORWARDED_FOR;
use super::trusted_proxies::TrustedProxies;

/// How many more such requests one remote address must send than all others together. Any client can
/// send the header fields, but a proxy sends them all the time.
const REMOTE_REQUESTS: u32 = 100;

/// The warning, given once per process.
#[derive(Default)]
pub(super) struct UntrustedProxy {
    is_noticed: AtomicBool,
    /// The candidate of a majority vote (Boyer and Moore), and its lead.
    suspect: Mutex<Option<(IpAddr, u32)>>,
}

impl UntrustedProxy {
    /// Logs a warning if requests with these headers show that this peer is a proxy.
    pub(super) fn observe(&self, proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) {
        if self.notice(proxies, peer, headers) {
            tracing::warn!(
                name = "TRUSTED_PROXIES",
                peer = %peer.to_canonical(),
                problem = "requests name their client in Forwarded or X-Forwarded-For, but their \
                           peer is not trusted, so all of them count as one client",
                hint = "if this peer is your proxy, name it in TRUSTED_PROXIES",
                "proxy not trusted"
            );
        }
    }

    /// Returns `true` for the first request that shows a proxy. On this machine one request is
    /// enough: no other machine can connect from a loopback address.
    fn notice(&self, proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> bool {
        let is_forwarded = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED);
        if !is_forwarded || self.is_noticed.load(Ordering::Relaxed) {
            return false;
        }
        let peer = peer.to_canonical();
        !proxies.trusts(peer)
            && (peer.is_loopback() || self.leads(peer))
            && !self.is_noticed.swap(true, Ordering::Relaxed)
    }

    fn leads(&self, peer: IpAddr) -> bool {
        // No code panics while it holds the lock.
        let mut suspect = self.suspect.lock().unwrap_or_else(PoisonError::into_inner);
        let lead = match *suspect {
            Some((other, lead)) if other != peer && lead > 1 => {
                *suspect = Some((other, lead - 1));
                return false;
            }
            Some((same, lead)) if same == peer => lead.saturating_add(1),
            _ => 1,
        };
        *suspect = Some((peer, lead));
        lead >= REMOTE_REQUESTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many requests until the warning, at most 1000.
    fn requests_until_noticed(
        trusted: &str,
        header: &'static str,
        peer_of: impl Fn(u32) -> String,
    ) -> Option<u32> {
        let proxies = TrustedProxies::parse(trusted).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header, "for=203.0.113.1".parse().unwrap());
        let proxy = UntrustedProxy::default();
        let notice =
            |number: &u32| proxy.notice(&proxies, peer_of(*number).parse().unwrap(), &headers);
        let first = (1..=1000).find(notice)?;
        assert!((1..=1000).all(|number| !notice(&number)), "a second warning");
        Some(first)
    }

    #[test]
    fn local_proxy_is_noticed_at_once() {
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            for header in ["x-forwarded-for", "forwarded"] {
                for trusted in ["", "10.0.0.1"] {
                    let first = requests_until_noticed(trusted, header, |_| peer.to_owned());
                    assert_eq!(first, Some(1), "{peer} {header}");
                }
            }
            assert_eq!(requests_until_noticed("", "via", |_| peer.to_owned()), None);
            let trusted = "127.0.0.0/8, ::1";
            let first = requests_until_noticed(trusted, "forwarded", |_| peer.to_owned());
            assert_eq!(first, None, "{peer}");
        }
    }

    #[test]
    fn remote_proxy_is_noticed_after_a_hundred_requests() {
        let remote = |_| "10.0.0.1".to_owned();
        assert_eq!(requests_until_noticed("", "x-forwarded-for", remote), Some(100));
        assert_eq!(requests_until_noticed("10.0.0.0/8", "x-forwarded-for", remote), None);
        // Every third request comes from a client that sends the field itself.
        let mixed = |number: u32| match number % 3 {
            0 => format!("203.0.{}.{}", number / 256, number % 256),
            _ => "10.0.0.1".to_owned(),
        };
        assert_eq!(requests_until_noticed("", "forwarded", mixed), Some(296));
        let clients = |number: u32| format!("203.0.{}.{}", number / 256, number % 256);
        assert_eq!(requests_until_noticed("", "forwarded", clients), None);
    }
}
