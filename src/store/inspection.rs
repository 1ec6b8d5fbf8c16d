//! The checks of `post-api doctor` on a database. Each store has its own ([`InspectionStore`]).
//!
//! A check only reads. It reads through an index or looks at a sample of rows, so that all checks
//! together take seconds in a database of any size. A full inspection reads every row.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

/// How many rows of a table a sample has at most.
pub(super) const SAMPLE: i64 = 1000;

/// From so many expired idempotency keys on, their deletion does not keep up.
pub(super) const MANY_KEYS: i64 = 10_000;

/// The largest number of faults that a detail lists.
const MAX_FAULTS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// The service works, but the operator should know.
    Warn,
    /// The service cannot work, or loses or damages data.
    Fail,
    /// The check could not run, for example because an earlier one failed.
    Skipped,
}

/// The result of a check. Neither text contains a secret, a password hash or an e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    pub detail: String,
    /// The action that helps; empty if none is needed, or if the detail names it.
    pub cure: String,
}

impl Finding {
    pub fn ok(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, detail: detail.into(), cure: String::new() }
    }

    pub fn warn(detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, detail: detail.into(), cure: cure.into() }
    }

    pub fn fail(detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, detail: detail.into(), cure: cure.into() }
    }

    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, detail: reason.into(), cure: String::new() }
    }
}

/// The name of a check, and its result.
pub type NamedFinding = (&'static str, Finding);

/// How a database is inspected.
#[derive(Clone, Copy)]
pub struct Inspection<'a> {
    /// Whether to read every row.
    pub is_full: bool,
    /// Returns the time of this machine.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
}

/// A database that is open for reading.
#[async_trait]
pub trait InspectionStore: Send {
    /// Runs every check of the store, in their order. A check that fails ends no other.
    async fn inspect(&mut self, inspection: Inspection<'_>) -> Vec<NamedFinding>;
}

/// Returns the faults in one line, of which there may be any number.
pub(super) fn list_faults(faults: &[String]) -> String {
    let listed = faults.iter().take(MAX_FAULTS).map(String::as_str).collect::<Vec<_>>().join("; ");
    match faults.len().checked_sub(MAX_FAULTS) {
        None | Some(0) => listed,
        Some(more) => format!("{listed}; and {more} more"),
    }
}

/// Returns places in a range of keys, in ascending order. The row at or after each place makes the
/// sample: half of it is spread over the whole table, and each inspection has another one. The rest
/// are the first and the last keys: after a restore new IDs are so far away that most spread places
/// find the same row. If the range has at most [`SAMPLE`] keys, the places are all of them.
pub(super) fn sample_places(range: (i64, i64)) -> Vec<i64> {
    // Without random bytes the sample is the same each time.
    places_with_shift(range, getrandom::u64().unwrap_or(0))
}

fn places_with_shift(range: (i64, i64), random: u64) -> Vec<i64> {
    let (first, last, sample) = (i128::from(range.0), i128::from(range.1), i128::from(SAMPLE));
    if last - first < sample {
        return (range.0..=range.1).collect();
    }
    let stride = (last - first) / (sample / 2) + 1;
    let shift = i128::from(random) % stride;
    let spread = (0..sample / 2).map(|number| first + number * stride + shift);
    let ends = (0..sample / 4).flat_map(|number| [first + number, last - number]);
    let places = spread.filter(|place| *place <= last).chain(ends);
    let places: BTreeSet<i64> = places.filter_map(|place| i64::try_from(place).ok()).collect();
    places.into_iter().collect()
}

/// Compares the stored counts of a sample with the sums of its votes.
pub(super) fn judge_counts(counts: &[(i64, i64, i64)]) -> Finding {
    let wrong = counts.iter().filter(|(_, kept, cast)| kept != cast);
    let wrong: Vec<String> = wrong
        .map(|(post, kept, cast)| {
            format!("post {post}: the count says {kept}, its votes add up to {cast}")
        })
        .collect();
    if wrong.is_empty() {
        return Finding::ok(format!(
            "the counts of {} sampled posts match their votes",
            counts.len()
        ));
    }
    Finding::fail(list_faults(&wrong), REPAIR)
}

/// Judges the posts whose count is wrong, after all were compared.
pub(super) fn judge_all_counts(wrong: &[String]) -> Finding {
    if wrong.is_empty() {
        return Finding::ok("every count matches its votes");
    }
    Finding::fail(list_faults(wrong), REPAIR)
}

const REPAIR: &str = "run `post-api db verify --repair`";

/// Judges rows that name a missing row.
pub(super) fn judge_orphans(orphans: &[String], looked_at: &str) -> Finding {
    if orphans.is_empty() {
        return Finding::ok(format!("no row lacks its post or user ({looked_at})"));
    }
    Finding::fail(list_faults(orphans), REPAIR)
}

/// Judges how many passwords of a sample have a weak hash, argon2i, argon2d or bcrypt, and how many
/// have a text that is none of these.
pub(super) fn judge_hashes(strong: i64, weak: i64, unknown: i64) -> Finding {
    const CURE: &str = "each is replaced at the next login to its account; `post-api user \
                        set-password` replaces one at once";
    let all = strong + weak + unknown;
    if unknown > 0 {
        let detail = format!("{unknown} of {all} sampled passwords are no hash that is known");
        let cure = "their accounts cannot log in: set a password with `post-api user set-password`";
        return Finding::warn(detail, cure);
    }
    if weak == 0 {
        return Finding::ok(format!("{all} of {all} sampled password hashes are argon2id"));
    }
    let percent = weak * 100 / all.max(1);
    let detail =
        format!("{weak} of {all} sampled password hashes ({percent} %) are weaker than argon2id");
    Finding::warn(detail, CURE)
}

/// Judges the number of expired idempotency keys, counted up to one more than [`MANY_KEYS`].
pub(super) fn judge_due_keys(due: i64) -> Finding {
    const CURE: &str = "writes with a key delete them a few at a time; to free their space now, \
                        delete the rows of idempotency_keys whose expires_at has passed";
    if due <= MANY_KEYS {
        return Finding::ok(format!("{due} expired keys wait for their deletion"));
    }
    Finding::warn(format!("more than {MANY_KEYS} expired keys wait for their deletion"), CURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_all_keys_of_a_small_range() {
        for range in [(1, 1), (5, 1004), (-3, 3), (i64::MAX - 2, i64::MAX), (i64::MIN, i64::MIN)] {
            let places = sample_places(range);
            assert_eq!(places, (range.0..=range.1).collect::<Vec<_>>(), "{range:?}");
        }
    }

    #[test]
    fn places_are_spread_over_a_large_range() {
        for range in [(1, 1001), (1, 1_000_000), (i64::MIN, i64::MAX)] {
            for random in [0, 1, 999, 1_000_000, u64::MAX] {
                let places = places_with_shift(range, random);
                let length = i64::try_from(places.len()).unwrap();
                assert!((SAMPLE / 2..=SAMPLE).contains(&length), "{range:?}: {length}");
                assert!(places.is_sorted(), "{range:?}");
                assert!(places.iter().all(|place| (range.0..=range.1).contains(place)));
                let middle = range.0.midpoint(range.1);
                assert!(places[0] <= middle && middle <= places[places.len() - 1], "{range:?}");
            }
            assert_ne!(places_with_shift(range, 0), places_with_shift(range, 1), "{range:?}");
        }
    }

    /// A table with a few rows, and one after a restore.
    #[test]
    fn places_find_rows_before_and_after_a_gap() {
        for random in [0, 999, u64::MAX] {
            let places = places_with_shift((1, 1_000_060), random);
            let is_covered = |key: &i64| places.contains(key);
            assert!((1..=60).all(|key| is_covered(&key)));
            assert!((1_000_001..=1_000_060).all(|key| is_covered(&key)));
        }
    }

    #[test]
    fn long_list_of_faults_is_cut() {
        let faults: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
        assert_eq!(list_faults(&faults[..1]), "1");
        assert_eq!(list_faults(&faults[..5]), "1; 2; 3; 4; 5");
        assert_eq!(list_faults(&faults), "1; 2; 3; 4; 5; and 2 more");
    }

    #[test]
    fn samples_are_judged_by_their_faults() {
        assert_eq!(judge_counts(&[(1, 2, 2), (2, 0, 0)]).verdict, Verdict::Ok);
        assert_eq!(judge_counts(&[(1, 2, 2), (2, 1, 0)]).verdict, Verdict::Fail);
        assert_eq!(judge_hashes(0, 0, 0).verdict, Verdict::Ok);
        assert_eq!(judge_hashes(999, 1, 0).verdict, Verdict::Warn);
        assert_eq!(judge_hashes(999, 0, 1).verdict, Verdict::Warn);
        assert_eq!(judge_due_keys(MANY_KEYS).verdict, Verdict::Ok);
        assert_eq!(judge_due_keys(MANY_KEYS + 1).verdict, Verdict::Warn);
    }
}
