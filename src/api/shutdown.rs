//! Whether the service is shutting down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// From the beginning of the shutdown on, readiness probes fail. Once the service accepts no more
/// connections, streams end. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    has_begun: Arc<AtomicBool>,
    streams: CancellationToken,
}

impl Shutdown {
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// Ends the responses that have no end of their own, because draining would wait for them.
    pub fn end_streams(&self) {
        self.streams.cancel();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Completes when streams must end.
    pub(super) async fn streams_end(&self) {
        self.streams.cancelled().await;
    }
}
