//! Finds the client IP of a request: the IP of the peer, or the IP that a trusted proxy forwards.
//!
//! The hops are read from right to left, because the last proxy writes on the right. The first hop
//! that is not a trusted proxy is the client. The hops to the left of it are ignored, because the
//! client may have invented them. If a hop cannot be parsed or has no IP address (`unknown`,
//! `_hidden`), the hop that was read before it is the client.
//!
//! A proxy writes `Forwarded` (RFC 7239) or `X-Forwarded-For`, and often passes the other header
//! unchanged. If both headers are present and give different clients, the proxy itself is the
//! client, so that a client cannot choose its client IP.

use std::net::IpAddr;

use axum::http::header::{FORWARDED, HeaderMap};
use ipnet::IpNet;

use super::forwarded::{self, X_FORWARDED_FOR};

/// Maximum number of hops that are parsed. Real chains of proxies are shorter, but forged headers
/// may be longer.
const MAX_HOPS: usize = 32;

/// The proxies whose forwarding headers are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// The text is neither an IP address nor a network, or is a network that contains every address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the address of a proxy")]
pub struct InvalidProxy(pub String);

impl TrustedProxies {
    /// Parses IP addresses and networks (`10.0.0.0/8`), separated by commas.
    ///
    /// # Errors
    /// [`InvalidProxy`] with the first part that is neither, or that contains every address.
    pub fn parse(text: &str) -> Result<Self, InvalidProxy> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| network(part).ok_or_else(|| InvalidProxy(part.to_owned())));
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether a proxy may run on another machine.
    #[must_use]
    pub fn includes_remote(&self) -> bool {
        self.0.iter().any(|network| !network.addr().is_loopback())
    }

    /// Returns the client IP of a request with these headers from this peer.
    #[must_use]
    pub fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let forwarded = self.follow(peer, forwarded::forwarded(headers));
        let x_forwarded_for = self.follow(peer, forwarded::x_forwarded_for(headers));
        match (headers.contains_key(FORWARDED), headers.contains_key(X_FORWARDED_FOR)) {
            (true, true) if forwarded != x_forwarded_for => peer,
            (true, _) => forwarded,
            (false, _) => x_forwarded_for,
        }
    }

    fn follow(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = hop else {
                break;
            };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// Returns whether the forwarding headers of this peer count, given in canonical form.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let network = text.parse::<IpNet>().ok()?;
    // IP addresses are compared in canonical form, so a network of IPv4-mapped addresses never
    // matches.
    let is_canonical = network.addr().to_canonical() == network.addr();
    (is_canonical && network.prefix_len() > 0).then_some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &str = "10.0.0.0/8, 192.0.2.1,2001:db8:1::/48 , ::ffff:198.51.100.7";

    /// Returns the client of a request from this peer with these header lines.
    #[track_caller]
    fn client(peer: &str, lines: &[(&str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: axum::http::HeaderName = name.parse().unwrap();
            let value = axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(name, value);
        }
        let proxies = TrustedProxies::parse(PROXIES).unwrap();
        proxies.client_ip(peer.parse().unwrap(), &headers).to_string()
    }

    #[track_caller]
    fn assert_x_forwarded_for(value: &str, expected: &str) {
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", value)]), expected, "{value}");
    }

    #[track_caller]
    fn assert_forwarded(value: &str, expected: &str) {
        assert_eq!(client("10.0.0.1", &[("forwarded", value)]), expected, "{value}");
    }

    #[test]
    fn headers_of_an_untrusted_peer_are_ignored() {
        for name in ["x-forwarded-for", "forwarded"] {
            let lines = [(name, "for=1.1.1.1"), (name, "1.1.1.1")];
            assert_eq!(client("203.0.113.9", &lines), "203.0.113.9");
            assert_eq!(client("::ffff:203.0.113.9", &lines), "203.0.113.9");
            assert_eq!(client("2001:db8:2::1", &lines), "2001:db8:2::1");
        }
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, "1.1.1.1".parse().unwrap())]);
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(TrustedProxies::default().client_ip(peer, &headers), peer);
    }

    #[test]
    fn proxy_without_forwarded_header_is_the_client() {
        for peer in ["10.0.0.1", "192.0.2.1", "2001:db8:1::5", "198.51.100.7"] {
            assert_eq!(client(peer, &[]), peer);
            assert_eq!(client(peer, &[("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
        }
        assert_eq!(client("::ffff:10.0.0.1", &[("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
    }

    #[test]
    fn rightmost_untrusted_hop_is_the_client() {
        for (hops, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("1.1.1.1,203.0.113.9,10.1.2.3,\t192.0.2.1 ", "203.0.113.9"),
            ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
            ("10.9.9.9, 203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, , 203.0.113.9,,", "203.0.113.9"),
        ] {
            assert_x_forwarded_for(hops, expected);
            let named: Vec<String> = hops
                .split(',')
                .map(|hop| {
                    if hop.trim().is_empty() {
                        String::new()
                    } else {
                        format!("for={}", hop.trim())
                    }
                })
                .collect();
            assert_forwarded(&named.join(", "), expected);
        }
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let lines = [("x-forwarded-for", "1.1.1.1, 203.0.113.9"), ("x-forwarded-for", "10.2.2.2")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
        let lines = [("forwarded", "for=1.1.1.1"), ("forwarded", "for=203.0.113.9, for=10.1.1.1")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
    }

    #[test]
    fn every_form_of_an_address_is_parsed() {
        for (hop, expected) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8:2::1]", "2001:db8:2::1"),
            ("[2001:db8:2::1]:4711", "2001:db8:2::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::ffff:203.0.113.9]:4711", "203.0.113.9"),
        ] {
            assert_x_forwarded_for(hop, expected);
            assert_forwarded(&format!("for=\"{hop}\""), expected);
        }
        assert_x_forwarded_for("2001:db8:2::1", "2001:db8:2::1");
        assert_x_forwarded_for("203.0.113.9, [2001:db8:1::7]:80, ::ffff:10.3.3.3", "203.0.113.9");
    }

    #[test]
    fn other_parameters_of_a_hop_are_ignored() {
        for (hop, expected) in [
            ("for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ("by=10.0.0.1 ; For = 203.0.113.9", "10.0.0.1"),
            ("proto=https;FOR=203.0.113.9;host=\"a, b; for=1.1.1.1\"", "203.0.113.9"),
            ("for=\"203.0.113.9:_port\"", "203.0.113.9"),
        ] {
            assert_forwarded(hop, expected);
        }
    }

    #[test]
    fn unparsable_hop_ends_the_chain() {
        for hop in [
            "unknown",
            "Unknown",
            "_hidden",
            "1.1.1",
            "1.1.1.1.1",
            "1.1.1.1:",
            "1.1.1.1:port",
            "1.1.1.1:123456",
            "[1.1.1.1]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "fe80::1%eth0",
            "example.org",
            "\"1.1.1.1",
            "\u{e9}",
            "for=for=1.1.1.1",
        ] {
            assert_x_forwarded_for(&format!("2.2.2.2, {hop}"), "10.0.0.1");
            assert_x_forwarded_for(&format!("2.2.2.2, {hop}, 10.7.7.7"), "10.7.7.7");
            assert_forwarded(&format!("for=2.2.2.2, for={hop}, for=10.7.7.7"), "10.7.7.7");
        }
        for hop in ["proto=https", "1.1.1.1", "for", "for=1.1.1.1;for=2.2.2.2", "=1.1.1.1"] {
            assert_forwarded(&format!("for=2.2.2.2, {hop}"), "10.0.0.1");
        }
    }

    /// The client can only write to the left of the hop that the proxy appends.
    #[test]
    fn forged_prefix_does_not_change_the_client() {
        for forged in
            ["1.1.1.1, \"", "\"", "for=\"", "for=\"1.1.1.1, ", "\\\"", "\u{e9}", ";,;,=", "for="]
        {
            assert_forwarded(&format!("{forged}, for=203.0.113.9"), "203.0.113.9");
            assert_x_forwarded_for(&format!("{forged}, 203.0.113.9"), "203.0.113.9");
        }
    }

    #[test]
    fn both_headers_count_only_if_they_agree() {
        let both = |forwarded, x_forwarded_for| {
            client("10.0.0.1", &[("forwarded", forwarded), ("x-forwarded-for", x_forwarded_for)])
        };
        assert_eq!(both("for=203.0.113.9", "1.1.1.1, 203.0.113.9"), "203.0.113.9");
        assert_eq!(both("for=1.1.1.1", "203.0.113.9"), "10.0.0.1");
        assert_eq!(both("for=203.0.113.9", "1.1.1.1"), "10.0.0.1");
        assert_eq!(both("nonsense", "203.0.113.9"), "10.0.0.1");
    }

    #[test]
    fn long_chain_is_followed_up_to_the_limit() {
        let chain = |hops: usize| format!("203.0.113.9{}", ", 10.1.1.1".repeat(hops));
        assert_x_forwarded_for(&chain(MAX_HOPS - 1), "203.0.113.9");
        assert_x_forwarded_for(&chain(MAX_HOPS), "10.1.1.1");
        assert_x_forwarded_for(&chain(5000), "10.1.1.1");
        assert_forwarded(&"\"".repeat(60_000), "10.0.0.1");
    }

    #[test]
    fn invalid_proxies_are_rejected() {
        assert_eq!(TrustedProxies::parse(" , "), Ok(TrustedProxies::default()));
        for invalid in [
            "proxy",
            "10.0.0.0/33",
            "10.0.0",
            "0.0.0.0/0",
            "::/0",
            "*",
            "10.0.0.1:80",
            "::ffff:10.0.0.0/104",
        ] {
            let parsed = TrustedProxies::parse(&format!("10.0.0.1, {invalid}"));
            assert_eq!(parsed, Err(InvalidProxy(invalid.to_owned())));
        }
    }
}
