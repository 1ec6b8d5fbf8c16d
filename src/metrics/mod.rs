//! Numbers for a monitoring system: counters, gauges and histograms, and their text formats.
//!
//! Each layer owns its values and writes them to a [`Scrape`] when they are asked for. A value that
//! changes with a request is one atomic number: no request waits for a lock or allocates memory.
//!
//! Not here: the listener, see `server/metrics_listener.rs`.

mod counter;
mod definitions;
mod histogram;
mod page;
#[cfg(target_os = "linux")]
mod process;
mod registry;
mod scrape;
mod traffic;

pub use counter::{Counter, LabeledCounters};
pub use definitions::{METRICS, Metric, name};
pub use histogram::{Buckets, Histogram, MEMBERS, RANKING_SECONDS, REQUEST_SECONDS, STORE_SECONDS};
pub use page::metrics_page;
#[cfg(target_os = "linux")]
pub use process::{ProcessMetrics, resident_memory};
pub use registry::{Format, Registry};
pub use scrape::{Collect, Scrape};
pub use traffic::{MINUTES, Minute, Minutes, Traffic};

/// Returns `None`: only Linux tells the memory of a process in this way.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn resident_memory() -> Option<u64> {
    None
}
