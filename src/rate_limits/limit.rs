//! One limit, and for each key how much of it is used up.
//!
//! Of a key one moment is kept: when everything will be there again (GCRA, the generic cell rate
//! algorithm). There is one left as long as that moment is no farther away than the time in which all
//! but one come back. Keys are forgotten when there are more than [`KEYS`] of them; whoever has many
//! addresses gets as many times more with or without that.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};

use super::monotonic_clock::MonotonicClock;
use super::rate::Rate;

/// Keys that are remembered of one limit: some 4 MiB when it is full.
pub(super) const KEYS: usize = 65_536;

/// Nothing is left of a limit for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// The limit's name, as clients and the log see it.
    pub limit: &'static str,
    pub rate: Rate,
    /// How long it takes until there is one more.
    pub wait: Duration,
}

pub(super) struct Limit<K> {
    name: &'static str,
    /// `None` allows everything.
    rate: Option<Rate>,
    stopwatch: Arc<dyn MonotonicClock>,
    /// When everything will be there again.
    whole_at: Cache<K, Duration>,
}

impl<K: Copy + Eq + Hash> Limit<K> {
    pub(super) fn new(
        name: &'static str,
        rate: Option<Rate>,
        stopwatch: &Arc<dyn MonotonicClock>,
    ) -> Self {
        Self { name, rate, stopwatch: Arc::clone(stopwatch), whole_at: Cache::new(KEYS) }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&self, key: K) -> Result<(), RateLimited> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let now = self.stopwatch.elapsed();
        self.change(key, |whole_at| {
            self.judge(rate, *whole_at, now)?;
            *whole_at = now.max(*whole_at) + rate.step();
            Ok(())
        })
    }

    /// Whether there is one. Nothing is taken, and a key that is not known stays so.
    pub(super) fn look(&self, key: &K) -> Result<(), RateLimited> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let whole_at = self.whole_at.get(key).unwrap_or_default();
        self.judge(rate, whole_at, self.stopwatch.elapsed())
    }

    /// Takes one although there may be none: several may have looked before one of them took.
    /// What was taken too much is waited for longer.
    pub(super) fn charge(&self, key: K) {
        let Some(rate) = self.rate else {
            return;
        };
        let now = self.stopwatch.elapsed();
        self.change(key, |whole_at| *whole_at = now.max(*whole_at) + rate.step());
    }

    /// Gives everything back.
    pub(super) fn forget(&self, key: &K) {
        self.whole_at.remove(key);
    }

    /// Keys that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.whole_at.len()
    }

    fn judge(&self, rate: Rate, whole_at: Duration, now: Duration) -> Result<(), RateLimited> {
        let wait = whole_at.saturating_sub(now + rate.allowance());
        if wait.is_zero() { Ok(()) } else { Err(RateLimited { limit: self.name, rate, wait }) }
    }

    /// Alone with what is kept of the key.
    fn change<T>(&self, key: K, change: impl Fn(&mut Duration) -> T) -> T {
        match self.whole_at.entry(&key, None, |_, kept| EntryAction::Retain(change(kept))) {
            EntryResult::Retained(outcome) => outcome,
            EntryResult::Vacant(place) => {
                let mut kept = Duration::ZERO;
                let outcome = change(&mut kept);
                // It is refused only if somebody else was faster, who cannot have been: the place is ours.
                let _ = place.insert(kept);
                outcome
            }
            // Comes of removing and of waiting for a limited time, neither of which is done here.
            _ => change(&mut Duration::default()),
        }
    }
}
