//! Threads that read. Each has a connection of its own, so that no read waits for a write; a
//! statement that takes long holds one of them up, never the threads that serve requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection;
use crate::store::{Result, StoreError};

/// Reads that may wait.
const QUEUE: usize = 4096;

/// One for each core, within these.
const FEWEST: usize = 2;
const MOST: usize = 8;

type Job = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    queue: Sender<Job>,
}

impl Readers {
    /// Starts the threads; their names begin with this one.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self> {
        let (queue, jobs) = crossbeam_channel::bounded::<Job>(QUEUE);
        let cores = std::thread::available_parallelism().map_or(FEWEST, std::num::NonZero::get);
        for number in 0..cores.clamp(FEWEST, MOST) {
            let connection = connection::open_reader(path)?;
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(&connection, &jobs))
                .map_err(StoreError::unavailable)?;
        }
        Ok(Self { queue })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if !answer.is_closed() {
                let _ = answer.send(read(connection));
            }
        });
        self.queue.try_send(job)?;
        outcome.await.map_err(|_| StoreError::internal("a read panicked"))?
    }
}

fn work(connection: &Connection, jobs: &Receiver<Job>) {
    for job in jobs {
        // A panic ends the one job; its caller hears of it by the dropped channel.
        let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
    }
}
