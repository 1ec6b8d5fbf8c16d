//! Refresh tokens whose exchange has failed for a fault of ours, though it may have been carried out: the
//! database was out of reach, or took too long. Repeats of it are judged by when it was first asked for, so
//! that such a fault does not look like a theft. Whoever leaves before the answer is not remembered: a thief
//! could do that whenever it served them. Not here: how long a repeat is granted at all, that is the session's.
//!
//! A process knows its own alone: a repeat that meets another replica is judged by its own time.

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;

use crate::domain::session::TokenHash;

/// Exchanges that are remembered. Beyond them some go that were not asked for lately: their repeats are
/// judged by their own time.
const CAPACITY: usize = 4096;

/// How long one is: a fault that lasts longer looks like any silence.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);

/// When exchanges that have failed for faults of ours were first asked for, by the hash of the whole token.
pub struct InterruptedRefreshes {
    first_attempts: Cache<TokenHash, Timestamp>,
}

impl InterruptedRefreshes {
    /// When the exchange was first asked for, if it is asked for now.
    #[must_use]
    pub fn first_attempt_at(&self, token: &TokenHash, now: Timestamp) -> Timestamp {
        let earlier = self.first_attempts.get(token);
        earlier.filter(|first| now.duration_since(*first) <= MAX_AGE).unwrap_or(now)
    }

    /// The exchange that was first asked for then has failed for a fault of ours.
    pub fn record(&self, token: TokenHash, first_attempt_at: Timestamp) {
        self.first_attempts.insert(token, first_attempt_at);
    }

    /// The exchange has an answer.
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
    fn repeats_count_from_the_first_until_there_is_an_answer() {
        let interrupted_refreshes = InterruptedRefreshes::default();
        assert_eq!(interrupted_refreshes.first_attempt_at(&[1; 32], at(0)), at(0));
        assert_eq!(
            interrupted_refreshes.first_attempt_at(&[1; 32], at(11)),
            at(11),
            "nothing has failed"
        );
        interrupted_refreshes.record([1; 32], at(11));
        assert_eq!(interrupted_refreshes.first_attempt_at(&[1; 32], at(311)), at(11));
        assert_eq!(interrupted_refreshes.first_attempt_at(&[2; 32], at(12)), at(12), "another");
        interrupted_refreshes.remove(&[1; 32]);
        assert_eq!(interrupted_refreshes.first_attempt_at(&[1; 32], at(20)), at(20));
    }

    #[test]
    fn a_fault_that_lasts_is_forgotten() {
        let interrupted_refreshes = InterruptedRefreshes::default();
        interrupted_refreshes.record([1; 32], at(0));
        assert_eq!(interrupted_refreshes.first_attempt_at(&[1; 32], at(301)), at(301));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let interrupted_refreshes = InterruptedRefreshes::default();
        for number in 0..100_000_u64 {
            let mut token = [0; 32];
            token[..8].copy_from_slice(&number.to_be_bytes());
            interrupted_refreshes.record(token, at(0));
        }
        assert!(
            interrupted_refreshes.first_attempts.len() <= CAPACITY,
            "{}",
            interrupted_refreshes.first_attempts.len()
        );
    }
}
