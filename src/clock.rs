//! The only source of wall-clock time. Code that needs the time takes a [`Clock`], so that tests
//! can pass their own. `clippy.toml` bans every other wall clock.
//! Not here: durations such as timeouts and latencies, which use the monotonic clock.

use jiff::Timestamp;

/// Source of the present time, in whole microseconds: the precision of both stores.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present time in UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
