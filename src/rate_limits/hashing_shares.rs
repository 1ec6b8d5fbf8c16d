//! How much of the hashing capacity one network or one account can hold. A right password is never
//! rate limited, so without a share one client that logs in all the time would fill the queue, and
//! everyone else would get 503.
//!
//! Not here: the queue itself, see `auth/hashing.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::network::Network;
use crate::domain::user::AccountKey;

/// The owner of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Network(Network),
    Account(AccountKey),
}

/// The passwords that are hashed or queued.
pub(super) struct HashingShares {
    /// Passwords that are hashed or queued at most.
    capacity: u32,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: u32,
    by_holder: HashMap<Holder, u32>,
}

impl HashingShares {
    pub(super) fn new(capacity: u32) -> Self {
        Self { capacity, held: Mutex::default() }
    }

    /// Takes a share for one password. While half of the capacity is free, every holder gets one.
    /// After that, returns `None` if a holder already has an eighth of the capacity, and at least
    /// one password.
    pub(super) fn acquire(self: &Arc<Self>, holders: &[Holder]) -> Option<HashingPermit> {
        let share = (self.capacity / 8).max(1);
        let mut held = self.held();
        let has_share = |holder| held.by_holder.get(holder).is_some_and(|count| *count >= share);
        if held.total >= self.capacity / 2 && holders.iter().any(has_share) {
            return None;
        }
        held.total = held.total.saturating_add(1);
        for holder in holders {
            let count = held.by_holder.entry(*holder).or_default();
            *count = count.saturating_add(1);
        }
        Some(HashingPermit { shares: Some((Arc::clone(self), holders.to_vec())) })
    }

    fn release(&self, holders: &[Holder]) {
        let mut held = self.held();
        held.total = held.total.saturating_sub(1);
        for holder in holders {
            match held.by_holder.get_mut(holder) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(held.by_holder.remove(holder)),
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code panics in the middle of a change, so the counts are still consistent.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Allows one password to be hashed. The share is free again when this is dropped.
#[must_use]
pub struct HashingPermit {
    /// `None` if there are no limits.
    shares: Option<(Arc<HashingShares>, Vec<Holder>)>,
}

impl HashingPermit {
    pub(super) fn unlimited() -> Self {
        Self { shares: None }
    }
}

impl Drop for HashingPermit {
    fn drop(&mut self) {
        if let Some((shares, holders)) = &self.shares {
            shares.release(holders);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> Holder {
        Holder::Network(Network::of(Some([203, 0, 113, number].into())))
    }

    fn account(number: i64) -> Holder {
        Holder::Account(AccountKey(number))
    }

    #[test]
    fn one_holder_cannot_hold_more_than_half_of_the_capacity() {
        for holder_of in [|_| [network(1), account(1)], |number| [network(number), account(1)]] {
            let shares = Arc::new(HashingShares::new(16));
            let mut permits: Vec<_> =
                (0..100).map_while(|number| shares.acquire(&holder_of(number))).collect();
            assert_eq!(permits.len(), 8);
            for number in 0..4 {
                for _ in 0..2 {
                    let others = [network(200 + number), account(200 + i64::from(number))];
                    permits.push(shares.acquire(&others).unwrap());
                }
                let others = [network(200 + number), account(300)];
                assert!(shares.acquire(&others).is_none(), "{number}");
            }
            permits.truncate(1);
            assert!(shares.acquire(&holder_of(0)).is_some(), "a permit is released when dropped");
            permits.clear();
            let held = shares.held();
            assert_eq!((held.total, held.by_holder.len()), (0, 0));
        }
    }

    #[test]
    fn smallest_capacity_admits_each_holder_once() {
        let shares = Arc::new(HashingShares::new(1));
        let first = shares.acquire(&[network(1)]);
        assert!(first.is_some() && shares.acquire(&[network(2)]).is_some());
        assert!(shares.acquire(&[network(1)]).is_none());
    }
}
