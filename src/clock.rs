//! The one source of time. Everything that stamps or expires asks a [`Clock`], so that a test
//! can pass its own; `Timestamp::now` and friends are banned elsewhere (`clippy.toml`).
//!
//! Durations (timeouts, latencies) are not its business: they use the monotonic clock.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

/// Tells the present time, in whole microseconds: what both stores can keep.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        let to_microseconds =
            TimestampRound::new().smallest(Unit::Microsecond).mode(RoundMode::Floor);
        now.round(to_microseconds).unwrap_or(now)
    }
}
