//! The networks of a client, by which the limits identify it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of clients: an IPv4 address, or an IPv6 network of 64, 56 or 48 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network {
    address: IpAddr,
    prefix: Prefix,
}

/// How many bits of an IPv6 address identify the network. An IPv4 address is never shortened.
///
/// A client can use any address of its /64 network. An access line gets a /56 network, with 256
/// networks of 64 bits, or a /48 network, with 65,536 (RFC 6177). So each of the three has a limit
/// of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Prefix {
    Bits64,
    Bits56,
    Bits48,
}

impl Network {
    /// Returns the smallest network of a client IP. All clients without a known IP share one
    /// network.
    pub(super) fn of(client: Option<IpAddr>) -> Self {
        match client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).to_canonical() {
            IpAddr::V4(address) => Self { address: IpAddr::V4(address), prefix: Prefix::Bits64 },
            IpAddr::V6(address) => match translated(address) {
                Some(address) => Self { address: IpAddr::V4(address), prefix: Prefix::Bits64 },
                None => Self::with_prefix(address, Prefix::Bits64),
            },
        }
    }

    /// Returns this network and the wider networks around it, the smallest first.
    pub(super) fn with_wider(self) -> impl Iterator<Item = Self> + Clone {
        let wider = match self.address {
            IpAddr::V4(_) => [None, None],
            IpAddr::V6(address) => {
                [Prefix::Bits56, Prefix::Bits48].map(|bits| Some(Self::with_prefix(address, bits)))
            }
        };
        std::iter::once(self).chain(wider.into_iter().flatten())
    }

    /// Returns the widest network around this one.
    pub(super) fn widest(self) -> Self {
        self.with_wider().last().unwrap_or(self)
    }

    /// Returns how many times the rate of a limit this network has: one, two or four times.
    ///
    /// More clients share a wider network, but an IPv4 address of an office or of a provider has
    /// one rate for any number of clients. The factors stay small, so that with the defaults a
    /// client needs twelve /48 networks, or 45 IPv4 addresses, to reach the limit of an account.
    pub(super) fn rate_multiple(self) -> u32 {
        match self.prefix {
            Prefix::Bits64 => 1,
            Prefix::Bits56 => 2,
            Prefix::Bits48 => 4,
        }
    }

    fn with_prefix(address: Ipv6Addr, prefix: Prefix) -> Self {
        let bits = match prefix {
            Prefix::Bits64 => 64,
            Prefix::Bits56 => 56,
            Prefix::Bits48 => 48,
        };
        let mask = u128::MAX << (128 - bits);
        Self { address: IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)), prefix }
    }
}

/// Returns the IPv4 address of a client that a translator or a tunnel gave an IPv6 address. The
/// addresses of many such clients have the same first 64 bits, or one client has many networks.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let octets = address.octets();
    match address.segments() {
        // NAT64 with the well-known prefix 64:ff9b::/96 (RFC 6052, 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(Ipv4Addr::from_bits(low_32(bits))),
        // Teredo, 2001::/32: the last 32 bits are the inverted address of the client (RFC 4380, 4).
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!low_32(bits))),
        // 6to4, 2002::/16: the address of the client follows the prefix (RFC 3056, 2).
        [0x2002, ..] => Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        _ => None,
    }
}

fn low_32(bits: u128) -> u32 {
    u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default()
}
