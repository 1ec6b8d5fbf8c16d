//! The feed of the process: its streams, and how many there may be.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::streams::Streams;
use crate::metrics::{Collect, Scrape, name};

/// Streams that read the changes that they missed at the same time.
const MAX_CATCHING_UP: usize = 4;

/// The streams of the process. Clones share them.
#[derive(Clone)]
pub struct ChangeFeed {
    pub(super) limit: usize,
    pub(super) streams: Arc<Streams>,
    pub(super) catching_up: Arc<Semaphore>,
}

impl ChangeFeed {
    /// Allows this many streams. With 0 there are none, and nothing reads the log.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let catching_up = Arc::new(Semaphore::new(MAX_CATCHING_UP));
        Self { limit, streams: Arc::default(), catching_up }
    }

    /// Returns the number of open streams.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    pub(in crate::api) fn is_on(&self) -> bool {
        self.limit > 0
    }
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self::new(10_000)
    }
}

impl Collect for ChangeFeed {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let open = u64::try_from(self.open_streams()).unwrap_or(u64::MAX);
        scrape.gauge(&name::CHANGE_STREAMS, open)
    }
}
