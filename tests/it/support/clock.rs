//! A clock that tests set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use post_api::clock::Clock;
use post_api::rate_limits::MonotonicClock;

const START: i64 = 1_738_324_800_123_456;

/// Advances only if a test moves it. Starts at 2025-01-31T12:00:00.123456Z.
pub struct TestClock {
    microseconds: AtomicI64,
}

impl TestClock {
    pub fn set(&self, microseconds: i64) {
        self.microseconds.store(microseconds, Ordering::SeqCst);
    }

    pub fn advance(&self, seconds: i64) {
        self.microseconds.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self { microseconds: AtomicI64::new(START) }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.microseconds.load(Ordering::SeqCst)).unwrap()
    }
}

impl MonotonicClock for TestClock {
    fn elapsed(&self) -> Duration {
        let microseconds = self.microseconds.load(Ordering::SeqCst) - START;
        Duration::from_micros(microseconds.try_into().unwrap())
    }
}
