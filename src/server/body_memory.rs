//! The memory budget of request bodies. All bodies that are being read or processed share it, because
//! slow clients occupy memory until their bodies are complete.
//!
//! Not here: the limits of a single body, see `api/input/body.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::api::MemoryLimitExceeded;

/// The first bytes of a body are not counted, so that ordinary requests succeed while the budget is
/// exhausted.
const UNCOUNTED_BYTES: usize = 16 * 1024;

/// The budget of all bodies. A body counts from its first bytes until the response to its request.
#[derive(Debug, Clone)]
pub struct BodyMemory {
    /// In bytes.
    memory: Arc<Semaphore>,
}

/// The part of the budget that one body uses.
#[derive(Debug)]
pub(super) struct MemoryPermit {
    memory: Arc<Semaphore>,
    /// Bytes that have arrived, including the uncounted ones.
    arrived: AtomicUsize,
    counted: AtomicUsize,
}

impl Default for BodyMemory {
    /// Returns a budget of 128 MiB: 64 bodies of the maximum size. The process may need a multiple
    /// of that: a body, its parsed value and the copy of the store can exist at the same time.
    fn default() -> Self {
        Self::new(128 * 1024 * 1024)
    }
}

impl BodyMemory {
    /// Returns a budget of `total` bytes.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self { memory: Arc::new(Semaphore::new(total.min(Semaphore::MAX_PERMITS))) }
    }

    /// Returns an empty permit for one body.
    pub(super) fn open(&self) -> MemoryPermit {
        let memory = Arc::clone(&self.memory);
        MemoryPermit { memory, arrived: AtomicUsize::new(0), counted: AtomicUsize::new(0) }
    }
}

impl MemoryPermit {
    /// Reserves `length` more bytes until the permit is dropped.
    ///
    /// # Errors
    /// [`MemoryLimitExceeded`] if the budget is exhausted.
    pub(super) fn take(&self, length: usize) -> Result<(), MemoryLimitExceeded> {
        let before = self.arrived.fetch_add(length, Ordering::Relaxed);
        let counted = length.saturating_sub(UNCOUNTED_BYTES.saturating_sub(before));
        if counted == 0 {
            return Ok(());
        }
        let permits = u32::try_from(counted).map_err(|_| MemoryLimitExceeded)?;
        self.memory.try_acquire_many(permits).map_err(|_| MemoryLimitExceeded)?.forget();
        self.counted.fetch_add(counted, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.memory.add_permits(*self.counted.get_mut());
    }
}
