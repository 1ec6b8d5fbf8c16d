//! The memory of lists without a limit, from their first row until they are serialized.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Result, StoreError};

/// The budget in bytes that all lists without a limit share. A list that is larger than the whole budget can
/// be read if no other one is.
pub(super) struct ListMemory {
    total: u32,
    bytes: Arc<Semaphore>,
}

/// The part of the budget that a list has reserved. Dropping it returns the bytes.
#[derive(Debug)]
pub(super) struct ListPermit {
    total: u32,
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ListMemory {
    pub(super) fn new(total: u32) -> Self {
        let bytes = usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS);
        Self { total, bytes: Arc::new(Semaphore::new(bytes)) }
    }

    pub(super) fn permit(&self) -> ListPermit {
        ListPermit { total: self.total, budget: Arc::clone(&self.bytes), permit: None }
    }
}

impl ListPermit {
    /// Reserves bytes for another post.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if the budget is exhausted.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<()> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let held = u32::try_from(held).unwrap_or(self.total);
        // A list that needs more than all bytes takes all of them, so it is the only one.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total.saturating_sub(held));
        let more = Arc::clone(&self.budget).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| StoreError::Overloaded)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_that_exceeds_the_budget_is_refused_unless_it_is_alone() {
        let memory = ListMemory::new(100);
        let (mut first, mut second) = (memory.permit(), memory.permit());
        first.reserve(60).unwrap();
        second.reserve(40).unwrap();
        assert!(matches!(first.reserve(1), Err(StoreError::Overloaded)));
        drop(second);
        first.reserve(1000).unwrap();
        first.reserve(1000).unwrap();
        assert!(matches!(memory.permit().reserve(1), Err(StoreError::Overloaded)));
        drop(first);
        memory.permit().reserve(100).unwrap();
    }
}
