//! Whose address counts as whose.

use std::net::{IpAddr, Ipv6Addr};

/// What one client has for itself: an address of IPv4, or the 64 bits of IPv6 below which it may
/// choose any address that it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// Clients of whom nothing is known count as one.
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
