//! Request bodies that are large. All that are being read or worked with have a bound together: a
//! client that sends most of one and then waits holds it for as long as a body may take.
//!
//! Not here: how large one may be, and how long it may take (`body`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// What is no larger is not counted: what most requests carry goes on, whoever holds the room.
const SMALL: usize = 16 * 1024;

/// The room that large bodies have, from their first piece until their request is answered.
#[derive(Debug, Clone)]
pub struct BodyMemory {
    /// In bytes.
    room: Arc<Semaphore>,
}

/// There is no room for more of a body.
#[derive(Debug, thiserror::Error)]
#[error("large bodies have no room")]
pub(super) struct MemoryLimitExceeded;

/// What one body takes of the room.
#[derive(Debug)]
pub(super) struct MemoryPermit {
    room: Arc<Semaphore>,
    /// Bytes that came, those that are not counted included.
    taken: AtomicUsize,
    counted: AtomicUsize,
}

impl Default for BodyMemory {
    /// 64 of the largest. A body, what is made of it and what the store is given may exist side by side.
    fn default() -> Self {
        Self::new(128 * 1024 * 1024)
    }
}

impl BodyMemory {
    /// So many bytes for all of them.
    #[must_use]
    pub fn new(together: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(together.min(Semaphore::MAX_PERMITS))) }
    }

    /// For one body.
    pub(super) fn open(&self) -> MemoryPermit {
        let room = Arc::clone(&self.room);
        MemoryPermit { room, taken: AtomicUsize::new(0), counted: AtomicUsize::new(0) }
    }
}

impl MemoryPermit {
    /// For a piece of so many bytes, until the share is dropped.
    pub(super) fn take(&self, length: usize) -> Result<(), MemoryLimitExceeded> {
        let before = self.taken.fetch_add(length, Ordering::Relaxed);
        let counted = length.saturating_sub(SMALL.saturating_sub(before));
        if counted == 0 {
            return Ok(());
        }
        let permits = u32::try_from(counted).map_err(|_| MemoryLimitExceeded)?;
        self.room.try_acquire_many(permits).map_err(|_| MemoryLimitExceeded)?.forget();
        self.counted.fetch_add(counted, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.room.add_permits(*self.counted.get_mut());
    }
}
