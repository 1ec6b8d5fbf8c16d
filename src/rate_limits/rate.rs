//! The rate of a limit, written `20/5m` in settings.

use std::time::Duration;

/// Allows a burst of `count` requests, and then one more after each `period / count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
}

impl Rate {
    /// `count` must be at least 1.
    #[must_use]
    pub const fn new(count: u32, period: Duration) -> Self {
        Self { count, period }
    }

    /// Parses `COUNT/PERIOD`, such as `20/300s`, `20/5m` or `300/1h`: a count of 1 to 1,000,000, and
    /// a period of one second to 24 hours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const MAX_SECONDS: u64 = 24 * 60 * 60;
        let (count, period) = text.split_once('/')?;
        let count = digits(count)?;
        let (number, unit) = [("s", 1), ("m", 60), ("h", 60 * 60)]
            .into_iter()
            .find_map(|(name, unit)| Some((digits(period.strip_suffix(name)?)?, unit)))?;
        let seconds = u64::from(number) * unit;
        let is_bounded = (1..=1_000_000).contains(&count) && (1..=MAX_SECONDS).contains(&seconds);
        is_bounded.then(|| Self::new(count, Duration::from_secs(seconds)))
    }

    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Returns a rate of this many times the count in the same period.
    pub(super) fn times(self, multiple: u32) -> Self {
        Self { count: self.count.saturating_mul(multiple), ..self }
    }

    /// T of GCRA: the time until the next request is allowed.
    pub(super) fn emission_interval(&self) -> Duration {
        self.period / self.count.max(1)
    }

    /// τ of GCRA: how far `tat` may be ahead of now if a request is to be allowed.
    pub(super) fn burst_tolerance(&self) -> Duration {
        self.emission_interval() * self.count.saturating_sub(1)
    }
}

/// Parses a number without a sign.
fn digits(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}
