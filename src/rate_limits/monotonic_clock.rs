//! The clock of the limits. Its time never decreases, even if the system clock is set.

use std::time::{Duration, Instant};

/// Measures the time since a fixed start. The time never decreases.
pub trait MonotonicClock: Send + Sync + 'static {
    fn elapsed(&self) -> Duration;
}

/// Measures the time since the creation of the value.
#[derive(Debug, Clone, Copy)]
pub struct ProcessClock(Instant);

impl Default for ProcessClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl MonotonicClock for ProcessClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
