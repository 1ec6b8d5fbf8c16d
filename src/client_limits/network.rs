//! The networks of the clients, and what each makes the process hold.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::budget::Budget;
use super::{NETWORK_REQUESTS, NETWORK_SHARE};

const SHARDS: usize = 16;

type Shard = HashMap<IpAddr, Arc<Usage>>;

/// Usage of each network with an open connection or a request. Sharded, so that requests through a
/// proxy, which look up their network one by one, rarely wait for each other.
#[derive(Debug, Default)]
pub(super) struct Networks {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug)]
pub(super) struct Usage {
    pub(super) memory: Budget,
    pub(super) connections: Budget,
    /// Requests whose handlers run.
    pub(super) requests: Semaphore,
}

/// Keeps the usage of a network in the table until it is dropped.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) client: IpAddr,
    pub(super) usage: Arc<Usage>,
    networks: Arc<Networks>,
}

impl Networks {
    /// Returns the network of a client.
    pub(super) fn open(
        networks: &Arc<Self>,
        client: IpAddr,
        memory: usize,
        connections: usize,
    ) -> Network {
        let mut shard = networks.shard(client);
        let usage = shard.entry(network_of(client)).or_insert_with(|| {
            Arc::new(Usage {
                memory: Budget::new(memory / NETWORK_SHARE),
                connections: Budget::new((connections / NETWORK_SHARE).max(1)),
                requests: Semaphore::new(NETWORK_REQUESTS),
            })
        });
        Network { client, usage: Arc::clone(usage), networks: Arc::clone(networks) }
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, Shard> {
        let hash = usize::try_from(self.hasher.hash_one(network_of(client)) % 16).unwrap_or(0);
        let [first, ..] = &self.shards;
        // No code panics while it changes a shard, so a poisoned one is consistent.
        self.shards.get(hash).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut shard = self.networks.shard(self.client);
        // The table has one reference, and this network the other.
        if Arc::strong_count(&self.usage) <= 2 {
            shard.remove(&network_of(self.client));
        }
    }
}

/// Returns the network that counts as one client: an IPv4 address, or an IPv6 /56, of which
/// providers give each household one (RIPE-690).
fn network_of(client: IpAddr) -> IpAddr {
    const FIRST_56_BITS: u128 = u128::MAX << 72;
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & FIRST_56_BITS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(networks: &Arc<Networks>, client: &str) -> Network {
        Networks::open(networks, client.parse().unwrap(), 1024, 16)
    }

    #[test]
    fn addresses_of_a_household_share_their_usage() {
        let networks = Arc::default();
        for (one, other, is_same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8:0:1200::1", "2001:db8:0:12ff::2", true),
            ("2001:db8:0:1200::1", "2001:db8:0:1300::1", false),
        ] {
            let (first, second) = (open(&networks, one), open(&networks, other));
            assert_eq!(Arc::ptr_eq(&first.usage, &second.usage), is_same, "{one} {other}");
        }
    }

    #[test]
    fn unused_network_leaves_the_table() {
        let networks: Arc<Networks> = Arc::default();
        let (first, second) = (open(&networks, "192.0.2.1"), open(&networks, "192.0.2.1"));
        let len = || networks.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        drop(first);
        assert_eq!(len(), 1);
        drop(second);
        assert_eq!(len(), 0);
    }
}
