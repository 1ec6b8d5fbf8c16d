//! The network of a client, by which the limits identify it.

use std::net::{IpAddr, Ipv6Addr};

/// The network of one client: an IPv4 address or an IPv6 /64 network. In a /64 network the client
/// can use any address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// Returns the network of a client IP. All clients without a known IP share one network.
    pub(super) fn of(client: Option<IpAddr>) -> Self {
        const FIRST_64_BITS: u128 = u128::MAX << 64;
        match client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & FIRST_64_BITS)))
            }
        }
    }
}
