//! The threads that hash passwords. A hash takes 0.1 s and 64 MiB, so hashing never runs on the
//! threads that serve requests. At most one hash runs per core.
//! Not here: how a password is hashed, see `password.rs`.

use std::fmt;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use argon2::Block;

use crate::metrics::{Collect, Histogram, REQUEST_SECONDS, Scrape, name};
use crate::worker_pool::{Worker, WorkerError, WorkerPool, lower_priority};

/// Jobs that may wait per thread. If every core hashes, a hash takes 0.2 s and the last job waits
/// about 3 s. Instead of a longer wait the client gets 503 at once.
const QUEUE_PER_THREAD: usize = 16;

/// Blocks of an allocation that is never written: 4 MiB, a page of its own for the allocator.
const RETURNING_BLOCKS: usize = 4 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    #[error("the hashing queue is full")]
    Overloaded,
    #[error("a hash could not be computed")]
    Failed,
}

impl From<WorkerError> for HashingError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Overloaded => Self::Overloaded,
            WorkerError::Panicked | WorkerError::Closed => Self::Failed,
        }
    }
}

#[derive(Clone)]
pub(super) struct HashingPool {
    /// Each thread keeps the memory of its last hash for the next one.
    threads: Arc<WorkerPool<Vec<Block>>>,
    durations: Arc<Histogram>,
}

impl HashingPool {
    pub(super) fn start(threads: NonZeroUsize) -> std::io::Result<Self> {
        let threads = threads.get();
        let queue = threads * QUEUE_PER_THREAD;
        let threads = WorkerPool::start("hashing", queue, vec![Vec::new(); threads])?;
        let durations = Arc::new(Histogram::new(&REQUEST_SECONDS));
        Ok(Self { threads: Arc::new(threads), durations })
    }

    /// Like [`WorkerPool::run`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, WorkerError> {
        let durations = Arc::clone(&self.durations);
        let measured = move |memory: &mut Vec<Block>| {
            let started = Instant::now();
            let outcome = job(memory);
            durations.record_duration(started.elapsed());
            outcome
        };
        self.threads.run(measured).await
    }

    /// Returns the number of jobs that wait.
    pub(super) fn queue_length(&self) -> usize {
        self.threads.queue_length()
    }
}

impl Collect for HashingPool {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        scrape.histograms(&name::PASSWORD_HASH_DURATION, [([], &*self.durations)])?;
        let waiting = u64::try_from(self.queue_length()).unwrap_or(u64::MAX);
        scrape.gauge(&name::PASSWORD_QUEUE_LENGTH, waiting)
    }
}

/// Returns how many jobs run or wait at most.
pub(super) fn capacity(threads: NonZeroUsize) -> u32 {
    let jobs = threads.get().saturating_mul(1 + QUEUE_PER_THREAD);
    u32::try_from(jobs).unwrap_or(u32::MAX)
}

impl Worker for Vec<Block> {
    fn start(&mut self) {
        // Reads stay fast while passwords are hashed.
        lower_priority();
    }

    fn release_memory(&mut self) {
        *self = Vec::new();
        // mimalloc returns freed memory to the system a second later at the earliest, and only
        // when something large is freed. So the second call returns the blocks of the first.
        drop(black_box(Self::with_capacity(RETURNING_BLOCKS)));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::worker_pool::{NICENESS, has_no_filter};

    /// A machine that runs tests under a filter keeps the priority.
    #[tokio::test]
    async fn hashing_threads_run_at_lower_priority() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Field 19 of proc(5), counted from the end of field 2, the name.
            let after_name = stat.rsplit(") ").next().unwrap();
            after_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = niceness();
        let pool = HashingPool::start(NonZeroUsize::MIN).unwrap();
        let hashing = pool.run(move |_| niceness()).await.unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let expected = if has_no_filter(&status) { before.max(NICENESS) } else { before };
        assert_eq!(hashing, expected);
        assert_eq!(niceness(), before);
    }
}
