//! The networks from which accounts have logged in. They are kept per account, so the networks of one
//! account never evict those of another. The key is the ID, which no later account gets: an account
//! that is created with the e-mail of a deleted one has no known network.

use quick_cache::sync::Cache;

use super::limit::KEYS;
use super::network::Network;
use crate::domain::user::UserId;

/// Maximum number of networks per account. Beyond it, the network with the oldest last login is
/// dropped.
const NETWORKS: usize = 8;

/// The known networks of all accounts. [`KEYS`] accounts with [`NETWORKS`] networks each take about
/// 16 MiB.
pub(super) struct KnownNetworks {
    /// The networks of an account, in the order of their last login.
    by_account: Cache<UserId, Box<[Network]>>,
}

impl KnownNetworks {
    pub(super) fn is_known(&self, account: UserId, network: Network) -> bool {
        self.by_account.get(&account).is_some_and(|networks| networks.contains(&network))
    }

    /// Adds a network. Two concurrent calls may lose one network until its next login.
    pub(super) fn add(&self, account: UserId, network: Network) {
        let before = self.by_account.get(&account).unwrap_or_default();
        if before.last() == Some(&network) {
            return;
        }
        let others: Vec<Network> =
            before.iter().copied().filter(|known| *known != network).collect();
        let excess = others.len().saturating_sub(NETWORKS - 1);
        let networks = others.into_iter().skip(excess).chain([network]).collect();
        self.by_account.insert(account, networks);
    }
}

impl Default for KnownNetworks {
    fn default() -> Self {
        Self { by_account: Cache::new(KEYS) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const ADA: UserId = UserId(1);
    const BOB: UserId = UserId(2);

    fn network(number: u8) -> Network {
        Network::of(Some(IpAddr::from([203, 0, 113, number])))
    }

    fn known_to(known: &KnownNetworks, account: UserId) -> Vec<u8> {
        (0..=255).filter(|number| known.is_known(account, network(*number))).collect()
    }

    #[test]
    fn account_is_known_from_its_last_eight_networks() {
        let known = KnownNetworks::default();
        for number in [1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 9] {
            known.add(ADA, network(number));
        }
        known.add(BOB, network(10));
        assert_eq!(known_to(&known, ADA), [1, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(known_to(&known, BOB), [10]);
    }
}
