//! The threads that read. Each has its own connection, so no read waits for a write. A slow
//! statement occupies one of these threads, never a thread that serves requests.

use std::path::Path;

use rusqlite::Connection;

use super::connection;
use crate::store::{Result, StoreError};
use crate::worker_pool::{Worker, WorkerPool};

/// Maximum number of waiting reads.
const QUEUE: usize = 4096;

/// There is one thread per core, within these limits.
const MIN_THREADS: usize = 2;
const MAX_THREADS: usize = 8;

impl Worker for Connection {}

pub(super) struct Readers {
    pool: WorkerPool<Connection>,
}

impl Readers {
    /// Starts the threads. Their names begin with `name`.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self> {
        let cores =
            std::thread::available_parallelism().map_or(MIN_THREADS, std::num::NonZero::get);
        let connections =
            (0..cores.clamp(MIN_THREADS, MAX_THREADS)).map(|_| connection::open_reader(path));
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
