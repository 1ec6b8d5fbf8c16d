//! Histograms: how many values were at most as large as each of some bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds of a histogram.
#[derive(Debug)]
pub struct Buckets {
    /// Ascending.
    bounds: &'static [u64],
    /// The recorded number that is shown as 1.
    unit: u64,
}

const SECOND: u64 = 1_000_000_000;

/// Bounds of OpenTelemetry for HTTP servers, and three shorter ones. Without 0.75 and 7.5 seconds a
/// scrape keeps below 4,000 lines.
pub static REQUEST_SECONDS: Buckets = Buckets {
    bounds: &[
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        75_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        SECOND,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ],
    unit: SECOND,
};

/// From a read of the page cache to the timeout of an answer.
pub static STORE_SECONDS: Buckets = Buckets {
    bounds: &[
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        50_000_000,
        250_000_000,
        SECOND,
        10_000_000_000,
    ],
    unit: SECOND,
};

pub static RANKING_SECONDS: Buckets = Buckets {
    bounds: &[
        1_000_000,
        10_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        SECOND,
        2_500_000_000,
        10_000_000_000,
    ],
    unit: SECOND,
};

/// The members of a batch.
pub static MEMBERS: Buckets = Buckets { bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256], unit: 1 };

#[derive(Debug)]
pub struct Histogram {
    buckets: &'static Buckets,
    /// One count for each bound, and one for larger values.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The values of a histogram at one time.
pub(super) struct Snapshot {
    pub(super) sum: f64,
    pub(super) count: u64,
    /// Each bound, with the number of values at most as large that are above the previous bound.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    #[must_use]
    pub fn new(buckets: &'static Buckets) -> Self {
        let counts = (0..=buckets.bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { buckets, counts, sum: AtomicU64::default() }
    }

    /// Records a size, such as that of a batch.
    pub fn record(&self, value: u64) {
        let index = self.buckets.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    pub fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let Buckets { bounds, unit } = self.buckets;
        let shown = bounds.iter().map(|bound| to_f64(*bound) / to_f64(*unit));
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = shown.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = to_f64(self.sum.load(Ordering::Relaxed)) / to_f64(*unit);
        Snapshot { sum, count, buckets }
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a sum of 104 days in nanoseconds is exact, and a larger one needs no more digits"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_counts_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&MEMBERS);
        for value in [0, 1, 2, 3, 256, 257, 10_000] {
            histogram.record(value);
        }
        let Snapshot { sum, count, buckets } = histogram.snapshot();
        let counts: Vec<_> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((sum, count), (10_519.0, 7));
    }

    #[test]
    fn durations_are_shown_in_seconds() {
        let histogram = Histogram::new(&REQUEST_SECONDS);
        histogram.record_duration(Duration::from_millis(1500));
        histogram.record_duration(Duration::from_micros(500));
        let Snapshot { sum, count, buckets } = histogram.snapshot();
        assert_eq!((sum, count), (1.5005, 2));
        assert_eq!(buckets[0], (0.0005, 1));
        let counted: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&(0.0005, 1), &(2.5, 1)]);
    }
}
