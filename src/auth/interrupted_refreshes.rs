//! Refreshes that failed in the service, although the database may have rotated the token. For a
//! retry the time of the first attempt counts, so that our failure does not look like token theft.
//! Not here: the reuse interval, see `domain/session.rs`.
//!
//! A longer reuse interval cannot replace this memory. A request may wait 10 s for PostgreSQL
//! before the client gets 503 with `Retry-After: 2`, so the first retry arrives after 12 s.
//! `REUSE_INTERVAL` is 10 s, so that retry would revoke the session. To cover the same outages, the
//! interval would have to be five minutes, for every session and at all times. Suppose a thief
//! presents a stolen token at a random moment of a 30-minute refresh cycle. Then reuse detection
//! misses 0.6 % of the thefts with 10 s, and 17 % with five minutes. This memory extends the
//! interval only for refreshes that failed in the service.
//!
//! A refresh is not recorded if the client disconnected: a thief could disconnect on purpose. A
//! process knows only its own refreshes. At another replica the time of the retry counts.

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;

use crate::domain::session::TokenHash;

/// Maximum number of refreshes that are kept. Beyond it, refreshes without a recent retry are
/// evicted, and for their retries the time of the retry counts.
const CAPACITY: usize = 4096;

/// How long a refresh is kept after its first attempt.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);

/// The time of the first attempt, keyed by the hash of the whole token
/// ([`super::RefreshSecrets::token_hash`]).
pub struct InterruptedRefreshes {
    first_attempts: Cache<TokenHash, Timestamp>,
}

impl InterruptedRefreshes {
    /// Returns the time of the first attempt with this token. Without a recorded failure that is
    /// `now`.
    #[must_use]
    pub fn first_attempt_at(&self, token: &TokenHash, now: Timestamp) -> Timestamp {
        let earlier = self.first_attempts.get(token);
        earlier.filter(|first| now.duration_since(*first) <= MAX_AGE).unwrap_or(now)
    }

    /// Records that the refresh failed in the service.
    pub fn record(&self, token: TokenHash, first_attempt_at: Timestamp) {
        self.first_attempts.insert(token, first_attempt_at);
    }

    /// Removes a refresh whose outcome is known.
    pub fn remove(&self, token: &TokenHash) {
        self.first_attempts.remove(token);
    }
}

impl Default for InterruptedRefreshes {
    fn default() -> Self {
        Self { first_attempts: Cache::new(CAPACITY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_738_324_800 + second).unwrap()
    }

    #[test]
    fn retry_counts_from_first_attempt_until_removed() {
        let refreshes = InterruptedRefreshes::default();
        assert_eq!(refreshes.first_attempt_at(&[1; 32], at(0)), at(0));
        assert_eq!(refreshes.first_attempt_at(&[1; 32], at(11)), at(11), "nothing has failed");
        refreshes.record([1; 32], at(11));
        assert_eq!(refreshes.first_attempt_at(&[1; 32], at(311)), at(11));
        assert_eq!(refreshes.first_attempt_at(&[2; 32], at(12)), at(12), "another token");
        refreshes.remove(&[1; 32]);
        assert_eq!(refreshes.first_attempt_at(&[1; 32], at(20)), at(20));
    }

    #[test]
    fn refresh_is_forgotten_after_five_minutes() {
        let refreshes = InterruptedRefreshes::default();
        refreshes.record([1; 32], at(0));
        assert_eq!(refreshes.first_attempt_at(&[1; 32], at(301)), at(301));
    }

    #[test]
    fn number_of_refreshes_is_bounded() {
        let refreshes = InterruptedRefreshes::default();
        for number in 0..100_000_u64 {
            let mut token = [0; 32];
            token[..8].copy_from_slice(&number.to_be_bytes());
            refreshes.record(token, at(0));
        }
        assert!(refreshes.first_attempts.len() <= CAPACITY, "{}", refreshes.first_attempts.len());
    }
}
