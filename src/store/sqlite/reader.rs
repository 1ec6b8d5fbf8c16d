//! The threads that read. Each has its own connection, so no read waits for a write. A slow
//! statement occupies one of these threads, never a thread that serves requests.

use std::path::Path;

use rusqlite::{Connection, InterruptHandle};

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
    interrupts: Vec<InterruptHandle>,
}

impl Readers {
    /// Starts the threads. Their names begin with `name`.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self> {
        let cores =
            std::thread::available_parallelism().map_or(MIN_THREADS, std::num::NonZero::get);
        let connections =
            (0..cores.clamp(MIN_THREADS, MAX_THREADS)).map(|_| connection::open_reader(path));
        let connections = connections.collect::<rusqlite::Result<Vec<_>>>()?;
        let interrupts = connections.iter().map(Connection::get_interrupt_handle).collect();
        let pool = WorkerPool::start(name, QUEUE, connections).map_err(StoreError::unavailable)?;
        Ok(Self { pool, interrupts })
    }

    /// Returns the number of reads that wait.
    pub(super) fn queue_length(&self) -> usize {
        self.pool.queue_length()
    }

    /// Interrupts the running reads and closes the connections. Later reads are refused.
    pub(super) async fn close(&self) {
        for interrupt in &self.interrupts {
            interrupt.interrupt();
        }
        self.pool.close().await;
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.pool.run(|connection| read(connection)).await?
    }
}
