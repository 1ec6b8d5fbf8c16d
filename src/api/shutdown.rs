//! Whether the service is shutting down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// From the beginning of the shutdown on, readiness probes fail. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
