//! Refresh tokens whose exchange was begun and not answered: the database was out of reach, or took longer
//! than its client waited. Repeats of it are judged by when it was first asked for, so that a fault of ours
//! never looks like a theft. Not here: how long a repeat is granted at all, that is the session's.
//!
//! A process knows its own alone: a repeat that meets another replica is judged by its own time.

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;

use crate::domain::session::TokenHash;

/// Exchanges that are remembered. Beyond them the one that was asked for least lately goes.
const PLACES: usize = 4096;

/// How long one is: a fault that lasts longer looks like any silence.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// When exchanges that have no answer were first asked for.
pub struct Unanswered {
    since: Cache<TokenHash, Timestamp>,
}

impl Unanswered {
    /// An exchange of this token is asked for now; tells when it first was.
    #[must_use]
    pub fn ask(&self, presented: TokenHash, now: Timestamp) -> Timestamp {
        let earlier = self.since.get(&presented);
        let first = earlier.filter(|first| now.duration_since(*first) <= LONGEST).unwrap_or(now);
        self.since.insert(presented, first);
        first
    }

    /// The exchange has an answer.
    pub fn answer(&self, presented: &TokenHash) {
        self.since.remove(presented);
    }
}

impl Default for Unanswered {
    fn default() -> Self {
        Self { since: Cache::new(PLACES) }
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
        let unanswered = Unanswered::default();
        assert_eq!(unanswered.ask([1; 32], at(0)), at(0));
        assert_eq!(unanswered.ask([1; 32], at(11)), at(0));
        assert_eq!(unanswered.ask([2; 32], at(12)), at(12));
        assert_eq!(unanswered.ask([1; 32], at(300)), at(0));
        unanswered.answer(&[1; 32]);
        assert_eq!(unanswered.ask([1; 32], at(301)), at(301));
        assert_eq!(unanswered.ask([2; 32], at(302)), at(12));
    }

    #[test]
    fn a_silence_that_lasts_is_forgotten() {
        let unanswered = Unanswered::default();
        let _ = unanswered.ask([1; 32], at(0));
        assert_eq!(unanswered.ask([1; 32], at(301)), at(301));
        assert_eq!(unanswered.ask([1; 32], at(600)), at(301));
    }

    #[test]
    fn of_too_many_the_first_are_forgotten() {
        let unanswered = Unanswered::default();
        for number in 0..100_000_u64 {
            let mut token = [0; 32];
            token[..8].copy_from_slice(&number.to_be_bytes());
            let _ = unanswered.ask(token, at(0));
        }
        assert!(unanswered.since.len() <= PLACES, "{}", unanswered.since.len());
    }
}
