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

pub use counter::{Counter, LabeledCounters};
pub use definitions::{METRICS, Metric, name};
pub use histogram::{Buckets, Histogram, MEMBERS, RANKING_SECONDS, REQUEST_SECONDS, STORE_SECONDS};
pub use page::metrics_page;
#[cfg(target_os = "linux")]
pub use process::ProcessMetrics;
pub use registry::{Format, Registry};
pub use scrape::{Collect, Scrape};
