//! Threads that read. Each has a connection of its own, so that no read waits for a write; a
//! statement that takes long holds one of them up, never the threads that serve requests.

use std::path::Path;

use rusqlite::Connection;

use super::connection;
use crate::store::{Result, StoreError};
use crate::worker_pool::{Worker, WorkerError, WorkerPool};

/// Reads that may wait.
const QUEUE: usize = 4096;

/// One for each core, within these.
const FEWEST: usize = 2;
const MOST: usize = 8;

impl Worker for Connection {}

pub(super) struct Readers {
    pool: WorkerPool<Connection>,
}

impl Readers {
    /// Starts the threads; their names begin with this one.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(FEWEST, std::num::NonZero::get);
        let connections = (0..cores.clamp(FEWEST, MOST)).map(|_| connection::open_reader(path));
        let connections = connections.collect::<rusqlite::Result<Vec<_>>>()?;
        let pool = WorkerPool::start(name, QUEUE, connections).map_err(StoreError::unavailable)?;
        Ok(Self { pool })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.pool.run(|connection| read(connection)).await?
    }
}

impl From<WorkerError> for StoreError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Overloaded => Self::Overloaded,
            WorkerError::Panicked => Self::internal("a read panicked"),
        }
    }
}
