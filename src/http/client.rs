//! Who a request comes from: the other end of the connection, unless that is a proxy which is trusted
//! to say for whom it asks.
//!
//! Such a proxy is believed as far as it can know: what it was told by whom it does not trust is not.
//! So the hops are read from the right, where the last proxy wrote, and the first one that is no
//! trusted proxy is the client; to the left of it anybody may have written anything. A hop that cannot
//! be read, or is not named (`unknown`, `_hidden`), ends the reading: the client is then the last hop
//! that could be.
//!
//! A proxy writes `Forwarded` (RFC 7239) or `X-Forwarded-For`, and often hands on the other one as its
//! client sent it. With both there, nobody knows which of them it wrote. They count if they lead to the
//! same client; if not, the proxy itself is the client, so that nobody can choose whose address they
//! come from.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::{FORWARDED, HeaderMap};
use axum::http::request::Parts;
use ipnet::IpNet;

use super::forwarded::{self, X_FORWARDED_FOR};

/// Hops that are looked at. No chain of proxies is longer; a header may be.
const MOST_HOPS: usize = 32;

/// The address that a request comes from, if it came over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

/// Proxies that are believed when they say for whom they ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// What cannot be trusted: no address and no network, or one that has everybody in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a proxy")]
pub struct InvalidProxy(pub String);

impl TrustedProxies {
    /// Reads addresses and networks (`10.0.0.0/8`), separated by commas.
    ///
    /// # Errors
    /// [`InvalidProxy`] with the first part that is neither, or stands for every address there is.
    pub fn parse(text: &str) -> Result<Self, InvalidProxy> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| network(part).ok_or_else(|| InvalidProxy(part.to_owned())));
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them may be on another machine.
    #[must_use]
    pub fn includes_remote(&self) -> bool {
        self.0.iter().any(|network| !network.addr().is_loopback())
    }

    /// The client of a request with these headers that came from this peer.
    #[must_use]
    pub fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
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
        for hop in hops.take(MOST_HOPS) {
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

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let network = text.parse::<IpNet>().ok()?;
    // Addresses are compared in their canonical form: IPv4 as IPv6 would never be met.
    let is_canonical = network.addr().to_canonical() == network.addr();
    (is_canonical && network.prefix_len() > 0).then_some(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &str = "10.0.0.0/8, 192.0.2.1,2001:db8:1::/48 , ::ffff:198.51.100.7";

    /// The client of a request that the peer sent with these header lines.
    #[track_caller]
    fn client(peer: &str, lines: &[(&str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: axum::http::HeaderName = name.parse().unwrap();
            let value = axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(name, value);
        }
        let proxies = TrustedProxies::parse(PROXIES).unwrap();
        proxies.client_of(peer.parse().unwrap(), &headers).to_string()
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
    fn nobody_is_believed_who_is_not_trusted() {
        for name in ["x-forwarded-for", "forwarded"] {
            let lines = [(name, "for=1.1.1.1"), (name, "1.1.1.1")];
            assert_eq!(client("203.0.113.9", &lines), "203.0.113.9");
            assert_eq!(client("::ffff:203.0.113.9", &lines), "203.0.113.9");
            assert_eq!(client("2001:db8:2::1", &lines), "2001:db8:2::1");
        }
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, "1.1.1.1".parse().unwrap())]);
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(TrustedProxies::default().client_of(peer, &headers), peer);
    }

    #[test]
    fn a_proxy_without_a_word_is_the_client() {
        for peer in ["10.0.0.1", "192.0.2.1", "2001:db8:1::5", "198.51.100.7"] {
            assert_eq!(client(peer, &[]), peer);
            assert_eq!(client(peer, &[("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
        }
        assert_eq!(client("::ffff:10.0.0.1", &[("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
    }

    #[test]
    fn the_rightmost_hop_that_is_not_trusted_is_the_client() {
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
    fn several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "1.1.1.1, 203.0.113.9"), ("x-forwarded-for", "10.2.2.2")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
        let lines = [("forwarded", "for=1.1.1.1"), ("forwarded", "for=203.0.113.9, for=10.1.1.1")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
    }

    #[test]
    fn addresses_come_in_many_forms() {
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
    fn the_other_words_of_a_hop_are_passed_over() {
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
    fn what_cannot_be_read_ends_the_reading() {
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

    /// What a client wrote stands to the left of what the proxy added, whatever it was.
    #[test]
    fn a_client_cannot_reach_over_what_the_proxy_adds() {
        for forged in
            ["1.1.1.1, \"", "\"", "for=\"", "for=\"1.1.1.1, ", "\\\"", "\u{e9}", ";,;,=", "for="]
        {
            assert_forwarded(&format!("{forged}, for=203.0.113.9"), "203.0.113.9");
            assert_x_forwarded_for(&format!("{forged}, 203.0.113.9"), "203.0.113.9");
        }
    }

    #[test]
    fn both_headers_count_if_they_agree() {
        let both = |forwarded, x_forwarded_for| {
            client("10.0.0.1", &[("forwarded", forwarded), ("x-forwarded-for", x_forwarded_for)])
        };
        assert_eq!(both("for=203.0.113.9", "1.1.1.1, 203.0.113.9"), "203.0.113.9");
        assert_eq!(both("for=1.1.1.1", "203.0.113.9"), "10.0.0.1");
        assert_eq!(both("for=203.0.113.9", "1.1.1.1"), "10.0.0.1");
        assert_eq!(both("nonsense", "203.0.113.9"), "10.0.0.1");
    }

    #[test]
    fn a_long_chain_is_followed_so_far() {
        let chain = |hops: usize| format!("203.0.113.9{}", ", 10.1.1.1".repeat(hops));
        assert_x_forwarded_for(&chain(MOST_HOPS - 1), "203.0.113.9");
        assert_x_forwarded_for(&chain(MOST_HOPS), "10.1.1.1");
        assert_x_forwarded_for(&chain(5000), "10.1.1.1");
        assert_forwarded(&"\"".repeat(60_000), "10.0.0.1");
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        assert_eq!(TrustedProxies::parse(" , "), Ok(TrustedProxies::default()));
        for refused in [
            "proxy",
            "10.0.0.0/33",
            "10.0.0",
            "0.0.0.0/0",
            "::/0",
            "*",
            "10.0.0.1:80",
            "::ffff:10.0.0.0/104",
        ] {
            let refusal = TrustedProxies::parse(&format!("10.0.0.1, {refused}"));
            assert_eq!(refusal, Err(InvalidProxy(refused.to_owned())));
        }
    }
}
