//! The networks from which accounts have logged in. They are kept per account: many networks of one
//! account never evict those of another.

use quick_cache::sync::Cache;

use super::limit::KEYS;
use super::network::Network;
use crate::domain::user::AccountKey;

/// Networks per account. Beyond that, the network whose last login is the oldest is dropped.
const NETWORKS: usize = 8;

/// Takes about 16 MiB with [`KEYS`] accounts of [`NETWORKS`] networks each.
pub(super) struct KnownNetworks {
    /// In the order of their last login.
    by_account: Cache<AccountKey, Box<[Network]>>,
}

impl KnownNetworks {
    pub(super) fn is_known(&self, account: AccountKey, network: Network) -> bool {
        self.by_account.get(&account).is_some_and(|networks| networks.contains(&network))
    }

    /// Two concurrent calls may lose one network, which is known again after its next login.
    pub(super) fn add(&self, account: AccountKey, network: Network) {
        let before = self.by_account.get(&account).unwrap_or_default();
        if before.last() == Some(&network) {
            return;
        }
        let others: Vec<Network> =
            before.iter().copied().filter(|known| *known != network).collect();
        let kept = others.len().saturating_sub(NETWORKS - 1);
        let networks = others.into_iter().skip(kept).chain([network]).collect();
        self.by_account.insert(account, networks);
    }

    pub(super) fn rename(&self, old: AccountKey, new: AccountKey) {
        if let Some((_, networks)) = self.by_account.remove(&old) {
            self.by_account.insert(new, networks);
        }
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

    const ADA: AccountKey = AccountKey(1);
    const BOB: AccountKey = AccountKey(2);

    fn network(number: u8) -> Network {
        Network::of(Some(IpAddr::from([203, 0, 113, number])))
    }

    fn known_to(known: &KnownNetworks, account: AccountKey) -> Vec<u8> {
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

    #[test]
    fn renamed_account_stays_known() {
        let known = KnownNetworks::default();
        known.add(ADA, network(1));
        known.add(ADA, network(2));
        known.rename(ADA, BOB);
        assert_eq!(known_to(&known, ADA), [0; 0]);
        assert_eq!(known_to(&known, BOB), [1, 2]);
        known.rename(ADA, BOB);
        assert_eq!(known_to(&known, BOB), [1, 2]);
    }
}
