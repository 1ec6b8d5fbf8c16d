//! Time that passes, whatever the machine's clock is set to.

use std::time::{Duration, Instant};

/// Tells how much time has passed since some beginning, and never less than before.
pub trait MonotonicClock: Send + Sync + 'static {
    fn elapsed(&self) -> Duration;
}

/// The machine's.
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
