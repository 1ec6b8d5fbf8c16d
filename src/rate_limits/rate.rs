//! How much of something there is in how much time, as settings say it: `20/5m`.

use std::time::Duration;

/// So many at once, and then one more after each part of the period, as long as it is divided by
/// their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
}

impl Rate {
    /// Of a count that is not zero, and a period of seconds.
    #[must_use]
    pub const fn new(count: u32, period: Duration) -> Self {
        Self { count, period }
    }

    /// Reads `COUNT/PERIOD`: 1 to 1,000,000 in one second to 24 hours, `20/300s`, `20/5m`, `300/1h`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const LONGEST: u64 = 24 * 60 * 60;
        let (count, period) = text.split_once('/')?;
        let count = digits(count)?;
        let (number, unit) = [("s", 1), ("m", 60), ("h", 60 * 60)]
            .into_iter()
            .find_map(|(name, unit)| Some((digits(period.strip_suffix(name)?)?, unit)))?;
        let seconds = u64::from(number) * unit;
        let is_bounded = (1..=1_000_000).contains(&count) && (1..=LONGEST).contains(&seconds);
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

    /// How long it takes until there is one more.
    pub(super) fn step(&self) -> Duration {
        self.period / self.count.max(1)
    }

    /// How long before everything is there again one may still be taken.
    pub(super) fn allowance(&self) -> Duration {
        self.step() * self.count.saturating_sub(1)
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}
