//! Time for the limits. It never goes back, even if the system clock is set.

use std::time::{Duration, Instant};

/// Returns the time since a fixed start, and never less than before.
pub trait MonotonicClock: Send + Sync + 'static {
    fn elapsed(&self) -> Duration;
}

/// Counts from the creation of the value.
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
