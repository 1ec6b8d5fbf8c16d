//! One rate limit, with its state per key. The algorithm is GCRA, the generic cell rate algorithm
//! (ITU-T I.371).
//!
//! The state of a key is its theoretical arrival time, `tat`: the time at which the whole limit is
//! available again. A request is allowed if `tat` is at most `burst_tolerance` after now. Each
//! request moves `tat` ahead by one `emission_interval`.
//!
//! Beyond [`KEYS`] keys, keys without recent use are evicted. This helps no attacker: a client with
//! many IPs gets the limit once per IP anyway.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};

use super::monotonic_clock::MonotonicClock;
use super::network::Network;
use super::rate::Rate;
use crate::domain::user::{AccountKey, UserId};

/// Maximum number of keys per limit. They take about 4 MiB.
pub(super) const KEYS: usize = 65_536;

/// A limit is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// The name of the limit in the response and in the log.
    pub limit: &'static str,
    pub rate: Rate,
    /// Time until the next request is allowed.
    pub wait: Duration,
}

/// The key by which a limit counts. A client must not be able to choose it.
pub(super) trait LimitKey: Copy + Eq + Hash {
    /// How many times the rate of the limit the key has.
    fn rate_multiple(&self) -> u32 {
        1
    }
}

impl LimitKey for UserId {}

impl LimitKey for AccountKey {}

impl LimitKey for Network {
    fn rate_multiple(&self) -> u32 {
        Self::rate_multiple(*self)
    }
}

impl LimitKey for (AccountKey, Network) {
    fn rate_multiple(&self) -> u32 {
        self.1.rate_multiple()
    }
}

pub(super) struct Limit<K> {
    name: &'static str,
    /// `None` allows all requests.
    rate: Option<Rate>,
    clock: Arc<dyn MonotonicClock>,
    /// The `tat` of each key, as the time since the start of the clock. A missing key has its whole
    /// limit.
    tats: Cache<K, Duration>,
}

impl<K: LimitKey> Limit<K> {
    pub(super) fn new(
        name: &'static str,
        rate: Option<Rate>,
        clock: &Arc<dyn MonotonicClock>,
    ) -> Self {
        Self { name, rate, clock: Arc::clone(clock), tats: Cache::new(KEYS) }
    }

    /// Charges one request if the limit allows it.
    ///
    /// # Errors
    /// [`RateLimited`] if the limit is exhausted.
    pub(super) fn try_acquire(&self, key: K) -> Result<(), RateLimited> {
        let Some(rate) = self.rate_of(&key) else {
            return Ok(());
        };
        let now = self.clock.elapsed();
        self.update(key, |tat| {
            self.check(rate, *tat, now)?;
            *tat = now.max(*tat) + rate.emission_interval();
            Ok(())
        })
    }

    /// Checks whether a request is allowed. Charges nothing and stores no new key.
    ///
    /// # Errors
    /// [`RateLimited`] if the limit is exhausted.
    pub(super) fn peek(&self, key: &K) -> Result<(), RateLimited> {
        let Some(rate) = self.rate_of(key) else {
            return Ok(());
        };
        let tat = self.tats.get(key).unwrap_or_default();
        self.check(rate, tat, self.clock.elapsed())
    }

    /// Charges this many requests even if the limit is exhausted: several callers may have peeked
    /// before one of them charges. The excess extends the wait.
    pub(super) fn charge(&self, key: K, requests: u32) {
        let Some(rate) = self.rate_of(&key) else {
            return;
        };
        let now = self.clock.elapsed();
        let charged = rate.emission_interval().saturating_mul(requests);
        self.update(key, |tat| *tat = now.max(*tat).saturating_add(charged));
    }

    /// Takes back the charge of one request.
    pub(super) fn refund(&self, key: &K) {
        if let (Some(rate), Some(_)) = (self.rate_of(key), self.tats.get(key)) {
            self.update(*key, |tat| *tat = tat.saturating_sub(rate.emission_interval()));
        }
    }

    /// Makes the whole limit available again.
    pub(super) fn reset(&self, key: &K) {
        self.tats.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tats.len()
    }

    fn rate_of(&self, key: &K) -> Option<Rate> {
        self.rate.map(|rate| rate.times(key.rate_multiple()))
    }

    fn check(&self, rate: Rate, tat: Duration, now: Duration) -> Result<(), RateLimited> {
        let wait = tat.saturating_sub(now + rate.burst_tolerance());
        if wait.is_zero() { Ok(()) } else { Err(RateLimited { limit: self.name, rate, wait }) }
    }

    /// Updates the `tat` of the key. No other thread can update it at the same time.
    fn update<T>(&self, key: K, update: impl Fn(&mut Duration) -> T) -> T {
        match self.tats.entry(&key, None, |_, tat| EntryAction::Retain(update(tat))) {
            EntryResult::Retained(outcome) => outcome,
            EntryResult::Vacant(placeholder) => {
                let mut tat = Duration::ZERO;
                let outcome = update(&mut tat);
                // Inserting fails only if another thread was first, but the placeholder reserves the
                // entry for this thread.
                let _ = placeholder.insert(tat);
                outcome
            }
            // Only removals and timeouts give another result, and this call uses neither.
            _ => update(&mut Duration::default()),
        }
    }
}
