//! Requests of the last day, minute by minute, also if nothing asks for the metrics.
//!
//! A request adds one to one atomic number. Once a minute a task reads the numbers and keeps what
//! has changed. Not here: times by operation and status, see `server/request_metrics.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::counter::LabeledCounters;

/// Minutes that are kept: a day.
pub const MINUTES: usize = 1440;

/// Buckets of times, three for each doubling.
const BUCKETS: usize = 64;

/// Upper bounds of all buckets but the last, in microseconds: from 32 microseconds to 53 seconds.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const BOUNDS: [u32; BUCKETS - 1] = {
    // Powers of the third root of 2, in units of 100,000.
    const STEPS: [u64; 3] = [100_000, 125_992, 158_740];
    let mut bounds = [0; BUCKETS - 1];
    let mut index = 0;
    while index < bounds.len() {
        let scaled = (32 << (index / 3)) * STEPS[index % 3] / 100_000;
        // The largest is below 2^26.
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "no try_from")]
        {
            bounds[index] = scaled as u32;
        }
        index += 1;
    }
    bounds
};

/// Classes of statuses: below 400, client errors, server errors.
const CLASSES: usize = 3;

/// The requests of a process.
pub struct Traffic {
    /// The requests of each class by their time.
    counts: [[AtomicU64; BUCKETS]; CLASSES],
    rate_limited: LabeledCounters,
    history: Mutex<History>,
}

/// The requests of one minute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Minute {
    pub requests: u64,
    pub client_errors: u64,
    pub server_errors: u64,
    /// Upper bounds of the median and of the 99th percentile of the times, in microseconds, at most
    /// 26 % above them. `None` without a request.
    pub p50: Option<u32>,
    pub p99: Option<u32>,
    /// Responses 429 by their limit. Empty if there were none.
    pub rate_limited: Vec<(&'static str, u64)>,
}

/// Minutes without a gap, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minutes {
    /// The beginning of the first minute. If there is none, that of the current minute.
    pub begin_at: Timestamp,
    pub minutes: Vec<Minute>,
}

#[derive(Default)]
struct History {
    /// The current minute, in minutes since 1970. `None` before the first.
    current: Option<i64>,
    minutes: VecDeque<Minute>,
    /// The numbers when the current minute began.
    earlier: Numbers,
}

#[derive(Clone)]
struct Numbers {
    counts: [[u64; BUCKETS]; CLASSES],
    rate_limited: Vec<(&'static str, u64)>,
}

impl Traffic {
    /// The limits are the names that [`Traffic::count_rate_limited`] counts.
    #[must_use]
    pub fn new(limits: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            counts: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::default())),
            rate_limited: LabeledCounters::new(limits),
            history: Mutex::default(),
        }
    }

    /// Counts a request.
    pub fn record(&self, status: u16, duration: Duration) {
        let class = match status {
            0..=399 => 0,
            400..=499 => 1,
            500.. => 2,
        };
        let microseconds = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < microseconds);
        if let Some(count) = self.counts.get(class).and_then(|counts| counts.get(bucket)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn count_rate_limited(&self, limit: &str) {
        self.rate_limited.increment(limit);
    }

    /// Ends every minute before the one of this time. Requests since the last call count for the
    /// first of them. If the clock was set back, forgets all minutes: their times are in the future.
    pub fn end_minutes(&self, now: Timestamp) {
        let minute = now.as_second().div_euclid(60);
        let numbers = self.numbers();
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = history.current.map_or(0, |current| minute - current);
        if ended > 0 {
            let first = numbers.since(&history.earlier);
            history.push(first);
            for _ in 1..ended.min(i64::try_from(MINUTES).unwrap_or(i64::MAX)) {
                history.push(Minute::default());
            }
        }
        if ended < 0 {
            history.minutes.clear();
        }
        if ended != 0 || history.current.is_none() {
            history.current = Some(minute);
            history.earlier = numbers;
        }
    }

    /// Returns the minutes that have ended.
    #[must_use]
    pub fn minutes(&self) -> Minutes {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes: Vec<Minute> = history.minutes.iter().cloned().collect();
        let length = i64::try_from(minutes.len()).unwrap_or(0);
        let first = history.current.unwrap_or(0) - length;
        let begin_at = Timestamp::from_second(first * 60).unwrap_or(Timestamp::UNIX_EPOCH);
        Minutes { begin_at, minutes }
    }

    fn numbers(&self) -> Numbers {
        let mut counts = [[0; BUCKETS]; CLASSES];
        for (counts, class) in counts.iter_mut().zip(&self.counts) {
            for (count, bucket) in counts.iter_mut().zip(class) {
                *count = bucket.load(Ordering::Relaxed);
            }
        }
        let rate_limited = self.rate_limited.values().map(|([limit], count)| (limit, count));
        Numbers { counts, rate_limited: rate_limited.collect() }
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Traffic")
    }
}

impl History {
    fn push(&mut self, minute: Minute) {
        if self.minutes.len() == MINUTES {
            self.minutes.pop_front();
        }
        self.minutes.push_back(minute);
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self { counts: [[0; BUCKETS]; CLASSES], rate_limited: Vec::new() }
    }
}

impl Numbers {
    /// Returns what was counted after the earlier numbers.
    fn since(&self, earlier: &Self) -> Minute {
        let mut buckets = [0; BUCKETS];
        let mut classes = [0; CLASSES];
        let classes_of_both = self.counts.iter().zip(&earlier.counts);
        for (class, (counts, before)) in classes.iter_mut().zip(classes_of_both) {
            for (bucket, (count, before)) in buckets.iter_mut().zip(counts.iter().zip(before)) {
                *bucket += count - before;
                *class += count - before;
            }
        }
        let before = |limit: &str| {
            earlier.rate_limited.iter().find(|(other, _)| *other == limit).map_or(0, |(_, n)| *n)
        };
        let limited =
            self.rate_limited.iter().map(|(limit, count)| (*limit, count - before(limit)));
        let [_, client_errors, server_errors] = classes;
        Minute {
            requests: classes.iter().sum(),
            client_errors,
            server_errors,
            p50: quantile(&buckets, 50),
            p99: quantile(&buckets, 99),
            rate_limited: limited.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// Returns the bound of the bucket that this percentage of the requests does not exceed.
fn quantile(buckets: &[u64; BUCKETS], percentage: u64) -> Option<u32> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = (total * percentage).div_ceil(100);
    let mut below = 0;
    let reached = buckets.iter().position(|count| {
        below += count;
        below >= rank
    });
    // The last bucket has no bound.
    reached.map(|index| BOUNDS.get(index).or(BOUNDS.last()).copied().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: [&str; 2] = ["login", "writes"];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn requests(traffic: &Traffic) -> Vec<u64> {
        traffic.minutes().minutes.iter().map(|minute| minute.requests).collect()
    }

    #[test]
    fn minute_has_the_requests_since_the_one_before() {
        let traffic = Traffic::new(LIMITS);
        traffic.end_minutes(at(600));
        traffic.record(200, Duration::from_millis(1));
        traffic.record(404, Duration::from_millis(1));
        traffic.record(429, Duration::from_millis(1));
        traffic.count_rate_limited("writes");
        traffic.record(503, Duration::from_secs(9));
        traffic.end_minutes(at(659));
        assert_eq!(traffic.minutes(), Minutes { begin_at: at(600), minutes: Vec::new() });
        traffic.end_minutes(at(660));
        traffic.record(201, Duration::ZERO);
        traffic.end_minutes(at(720));
        let Minutes { begin_at, minutes } = traffic.minutes();
        assert_eq!(begin_at, at(600));
        let [first, second] = minutes.try_into().unwrap();
        assert_eq!((first.requests, first.client_errors, first.server_errors), (4, 2, 1));
        assert_eq!(first.rate_limited, [("writes", 1)]);
        assert_eq!(
            second,
            Minute { requests: 1, p50: Some(32), p99: Some(32), ..Minute::default() }
        );
    }

    #[test]
    fn minutes_without_a_call_are_empty_and_only_the_last_day_is_kept() {
        let traffic = Traffic::new(LIMITS);
        traffic.end_minutes(at(0));
        traffic.record(200, Duration::ZERO);
        traffic.end_minutes(at(180));
        assert_eq!(requests(&traffic), [1, 0, 0]);
        traffic.record(200, Duration::ZERO);
        traffic.end_minutes(at(180 + 60 * 1438));
        assert_eq!(requests(&traffic).len(), MINUTES);
        assert_eq!(requests(&traffic)[..3], [0, 0, 1]);
        assert_eq!(traffic.minutes().begin_at, at(60));
        traffic.end_minutes(at(60 * 1_000_000));
        assert_eq!(requests(&traffic), [0; MINUTES]);
        assert_eq!(traffic.minutes().begin_at, at(60 * (1_000_000 - 1440)));
    }

    #[test]
    fn clock_that_is_set_back_begins_a_new_history() {
        let traffic = Traffic::new(LIMITS);
        traffic.end_minutes(at(6000));
        traffic.record(200, Duration::ZERO);
        traffic.end_minutes(at(6060));
        traffic.record(200, Duration::ZERO);
        traffic.end_minutes(at(3000));
        assert_eq!(traffic.minutes(), Minutes { begin_at: at(3000), minutes: Vec::new() });
        traffic.record(200, Duration::ZERO);
        traffic.end_minutes(at(3060));
        assert_eq!(requests(&traffic), [1]);
    }

    #[test]
    fn quantiles_are_at_most_a_bucket_above_the_times() {
        let traffic = Traffic::new(LIMITS);
        traffic.end_minutes(at(0));
        for milliseconds in 1..=100 {
            traffic.record(200, Duration::from_millis(milliseconds));
        }
        traffic.end_minutes(at(60));
        let minute = traffic.minutes().minutes.remove(0);
        assert!((50_000..63_000).contains(&minute.p50.unwrap()), "{minute:?}");
        assert!((99_000..125_000).contains(&minute.p99.unwrap()), "{minute:?}");
        traffic.record(200, Duration::from_secs(1000));
        traffic.end_minutes(at(120));
        assert_eq!(traffic.minutes().minutes[1].p50, BOUNDS.last().copied());
    }

    #[test]
    fn bounds_ascend_from_microseconds_to_a_minute() {
        assert!(BOUNDS.is_sorted_by(|one, other| one < other), "{BOUNDS:?}");
        assert_eq!((BOUNDS[0], BOUNDS[3]), (32, 64));
        assert!((50_000_000..60_000_000).contains(&BOUNDS[BUCKETS - 2]), "{BOUNDS:?}");
    }
}
