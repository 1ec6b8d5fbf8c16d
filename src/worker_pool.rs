//! Worker threads with a bounded queue, for work that would block the threads that serve requests.
//! Not here: the work itself, see `auth/hashing.rs` and `store/sqlite/reader.rs`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tokio::sync::oneshot;

/// A worker without a job for this long releases its memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The queue is full. The job does not run.
    #[error("the queue is full")]
    Overloaded,
    #[error("the job panicked")]
    Panicked,
}

/// The state of one thread. Every job on the thread gets a mutable reference to it.
pub trait Worker: Send + 'static {
    /// Runs on the thread before its first job.
    fn start(&mut self) {}

    /// Frees memory that a later job can allocate again. Runs after 10 s without a job.
    fn release_memory(&mut self) {}
}

type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Runs each job on the first free thread. If the pool is dropped, its threads finish the queued jobs
/// and end.
pub struct WorkerPool<W> {
    queue: Sender<Job<W>>,
}

impl<W: Worker> WorkerPool<W> {
    /// Starts one thread per worker, named `NAME-0`, `NAME-1` and so on. `queue` is the number of
    /// jobs that may wait.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        name: &str,
        queue: usize,
        workers: impl IntoIterator<Item = W>,
    ) -> io::Result<Self> {
        let (queue, jobs) = crossbeam_channel::bounded(queue);
        for (number, worker) in workers.into_iter().enumerate() {
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(worker, &jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs the job and returns its result. If the returned future is dropped before the job starts,
    /// the job does not run.
    ///
    /// # Errors
    /// [`WorkerError::Overloaded`] at once if the queue is full. [`WorkerError::Panicked`] if the job
    /// panics; its thread continues with the next job.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut W) -> T + Send + 'static,
    ) -> Result<T, WorkerError> {
        let (sender, outcome) = oneshot::channel();
        let job: Job<W> = Box::new(move |worker| {
            if !sender.is_closed() {
                let _ = sender.send(job(worker));
            }
        });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => WorkerError::Overloaded,
            // All threads have ended: before the pool is dropped, only a panic outside a job ends
            // one.
            TrySendError::Disconnected(_) => WorkerError::Panicked,
        })?;
        outcome.await.map_err(|_| WorkerError::Panicked)
    }
}

fn work<W: Worker>(mut worker: W, jobs: &Receiver<Job<W>>) {
    worker.start();
    loop {
        let job = match jobs.recv_timeout(IDLE_TIMEOUT) {
            Err(RecvTimeoutError::Timeout) => {
                worker.release_memory();
                jobs.recv().ok()
            }
            received => received.ok(),
        };
        let Some(job) = job else { return };
        // A panic drops the job's sender, so its caller gets `Panicked`.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut worker)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use futures_util::FutureExt as _;

    use super::*;

    /// Worker that counts the jobs of its thread.
    #[derive(Default)]
    struct Count {
        jobs: u32,
        is_started: bool,
    }

    impl Worker for Count {
        fn start(&mut self) {
            self.is_started = true;
        }
    }

    /// Returns a pool with one thread.
    fn pool(queue: usize) -> Arc<WorkerPool<Count>> {
        Arc::new(WorkerPool::start("counting", queue, [Count::default()]).unwrap())
    }

    #[tokio::test]
    async fn jobs_share_the_state_of_their_thread() {
        let pool = pool(1);
        for expected in 1..=3 {
            let jobs = pool.run(|count| {
                count.jobs += 1;
                (count.jobs, count.is_started)
            });
            assert_eq!(jobs.await, Ok((expected, true)));
        }
    }

    #[tokio::test]
    async fn threads_are_named_by_number() {
        let pool = pool(1);
        let name = pool.run(|_| std::thread::current().name().map(str::to_owned)).await.unwrap();
        assert_eq!(name.as_deref(), Some("counting-0"));
    }

    #[tokio::test]
    async fn panic_ends_only_its_own_job() {
        let pool = pool(1);
        assert_eq!(pool.run(|_| panic!("on purpose")).await, Err::<(), _>(WorkerError::Panicked));
        assert_eq!(pool.run(|_| 7).await, Ok(7));
    }

    /// Occupies the only thread of the pool until the sender is dropped.
    async fn block(pool: &Arc<WorkerPool<Count>>) -> mpsc::Sender<()> {
        let (started, is_started) = oneshot::channel();
        let (sender, receiver) = mpsc::channel::<()>();
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            let job = pool.run(move |_| {
                started.send(()).unwrap();
                receiver.recv().unwrap_err();
            });
            job.await.unwrap();
        });
        is_started.await.unwrap();
        sender
    }

    #[tokio::test]
    async fn full_queue_rejects_the_next_job() {
        let pool = pool(2);
        let blocker = block(&pool).await;
        let (mut first, mut second) = (Box::pin(pool.run(|_| 1)), Box::pin(pool.run(|_| 2)));
        assert_eq!((&mut first).now_or_never(), None);
        assert_eq!((&mut second).now_or_never(), None);
        assert_eq!(pool.run(|_| 3).now_or_never(), Some(Err(WorkerError::Overloaded)));
        drop(blocker);
        assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    }

    #[tokio::test]
    async fn job_of_a_dropped_caller_does_not_run() {
        let pool = pool(2);
        let blocker = block(&pool).await;
        assert!(pool.run(|count| count.jobs += 1).now_or_never().is_none());
        drop(blocker);
        assert_eq!(pool.run(|count| count.jobs).await, Ok(0));
    }
}
