//! Ends the minutes of the traffic as the clock does.

use std::convert::Infallible;
use std::time::Duration;

use crate::clock::Clock;
use crate::metrics::Traffic;

/// Ends each minute until the future is dropped.
pub(super) async fn end_each_minute(traffic: &Traffic, clock: &dyn Clock) -> Infallible {
    loop {
        let now = clock.now();
        traffic.end_minutes(now);
        let rest = 60 - now.as_second().rem_euclid(60);
        tokio::time::sleep(Duration::from_secs(u64::try_from(rest).unwrap_or(60))).await;
    }
}
