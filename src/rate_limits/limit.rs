//! One limit, with its state per key. The algorithm is GCRA, the generic cell rate algorithm
//! (ITU-T I.371).
//!
//! The state of a key is its theoretical arrival time, `tat`: the time at which the whole limit is
//! available again. One more is allowed if `tat` is at most `burst_tolerance` ahead of now. Taking
//! one moves `tat` ahead by one `emission_interval`.
//!
//! Beyond [`KEYS`] keys, keys without recent use are evicted. This helps no attacker: a client with
//! many IPs gets the limit once per IP anyway.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};

use super::monotonic_clock::MonotonicClock;
use super::rate::Rate;

/// Keys per limit; they take about 4 MiB.
pub(super) const KEYS: usize = 65_536;

/// A limit is used up for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// The limit's name in the response and in the log.
    pub limit: &'static str,
    pub rate: Rate,
    /// Time until one more is allowed.
    pub wait: Duration,
}

pub(super) struct Limit<K> {
    name: &'static str,
    /// `None` allows all.
    rate: Option<Rate>,
    clock: Arc<dyn MonotonicClock>,
    /// In time since the clock's start. A missing key has its whole limit.
    tats: Cache<K, Duration>,
}

impl<K: Copy + Eq + Hash> Limit<K> {
    pub(super) fn new(
        name: &'static str,
        rate: Option<Rate>,
        clock: &Arc<dyn MonotonicClock>,
    ) -> Self {
        Self { name, rate, clock: Arc::clone(clock), tats: Cache::new(KEYS) }
    }

    /// Takes one if the limit allows it.
    pub(super) fn try_acquire(&self, key: K) -> Result<(), RateLimited> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let now = self.clock.elapsed();
        self.update(key, |tat| {
            self.check(rate, *tat, now)?;
            *tat = now.max(*tat) + rate.emission_interval();
            Ok(())
        })
    }

    /// Checks whether one more is allowed. Takes none, and stores no new key.
    pub(super) fn peek(&self, key: &K) -> Result<(), RateLimited> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let tat = self.tats.get(key).unwrap_or_default();
        self.check(rate, tat, self.clock.elapsed())
    }

    /// Takes one even if none is left: several callers may have peeked before one of them charges.
    /// The excess extends the wait.
    pub(super) fn charge(&self, key: K) {
        let Some(rate) = self.rate else {
            return;
        };
        let now = self.clock.elapsed();
        self.update(key, |tat| *tat = now.max(*tat) + rate.emission_interval());
    }

    /// Makes the whole limit available again.
    pub(super) fn reset(&self, key: &K) {
        self.tats.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tats.len()
    }

    fn check(&self, rate: Rate, tat: Duration, now: Duration) -> Result<(), RateLimited> {
        let wait = tat.saturating_sub(now + rate.burst_tolerance());
        if wait.is_zero() { Ok(()) } else { Err(RateLimited { limit: self.name, rate, wait }) }
    }

    /// Updates the key's `tat` while no other thread can.
    fn update<T>(&self, key: K, update: impl Fn(&mut Duration) -> T) -> T {
        match self.tats.entry(&key, None, |_, tat| EntryAction::Retain(update(tat))) {
            EntryResult::Retained(outcome) => outcome,
            EntryResult::Vacant(place) => {
                let mut tat = Duration::ZERO;
                let outcome = update(&mut tat);
                // Inserting fails only if another thread was first, but the place is reserved for
                // us.
                let _ = place.insert(tat);
                outcome
            }
            // Only removals and timeouts lead here, and this call uses neither.
            _ => update(&mut Duration::default()),
        }
    }
}
