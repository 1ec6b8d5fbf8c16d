//! Worker threads with a bounded queue, for work that would block the threads that serve requests.
//! Not here: the work itself, see `auth/hashing.rs` and `store/sqlite/reader.rs`.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tokio::sync::{Mutex, mpsc, oneshot};

/// A worker without a job for this long releases its memory, and once more after as long again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The priority of threads whose work can wait (Linux `nice`). If another thread keeps the core busy,
/// the work takes ten times as long but still completes.
#[cfg(target_os = "linux")]
pub(crate) const NICENESS: i32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The queue is full. The job does not run.
    #[error("the queue is full")]
    Overloaded,
    #[error("the job panicked")]
    Panicked,
    /// The queue was closed before the job was run.
    #[error("the threads have ended")]
    Closed,
}

/// The sending side of a bounded queue to threads. The queue can be closed while others still use it.
pub struct JobQueue<J> {
    sender: RwLock<Option<Sender<J>>>,
    /// Returns `None` once every [`JobReceiver`] is dropped.
    ended: Mutex<mpsc::Receiver<Infallible>>,
}

/// The receiving side of a [`JobQueue`], one for each thread.
pub struct JobReceiver<J> {
    pub jobs: Receiver<J>,
    alive: mpsc::Sender<Infallible>,
}

impl<J> Clone for JobReceiver<J> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), alive: self.alive.clone() }
    }
}

impl<J> JobQueue<J> {
    /// Creates a queue in which at most `capacity` jobs wait.
    #[must_use]
    pub fn bounded(capacity: usize) -> (Self, JobReceiver<J>) {
        let (sender, jobs) = crossbeam_channel::bounded(capacity);
        let (alive, ended) = mpsc::channel(1);
        let queue = Self { sender: RwLock::new(Some(sender)), ended: Mutex::new(ended) };
        (queue, JobReceiver { jobs, alive })
    }

    /// Adds a job without waiting.
    ///
    /// # Errors
    /// [`WorkerError::Overloaded`] if the queue is full, [`WorkerError::Closed`] if it is closed or
    /// all threads have ended.
    pub fn try_send(&self, job: J) -> Result<(), WorkerError> {
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        match sender.as_ref().map(|sender| sender.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(WorkerError::Overloaded),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(WorkerError::Closed),
        }
    }

    /// Rejects further jobs. The threads finish the queued jobs and end.
    pub fn close(&self) {
        *self.sender.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn is_closed(&self) -> bool {
        self.sender.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Returns the number of jobs that wait.
    pub fn length(&self) -> usize {
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().map_or(0, Sender::len)
    }

    /// Waits until each thread has dropped its receiver.
    pub async fn ended(&self) {
        self.ended.lock().await.recv().await;
    }
}

/// The state of one thread. Every job on the thread gets a mutable reference to it.
pub trait Worker: Send + 'static {
    /// Runs on the thread before its first job.
    fn start(&mut self) {}

    /// Frees memory that a later job can allocate again. Runs after 10 s without a job, and once
    /// more after 20 s: an allocator may keep freed memory until a later call.
    fn release_memory(&mut self) {}
}

type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Runs each job on the first free thread. If the pool is dropped, its threads finish the queued jobs
/// and end.
pub struct WorkerPool<W> {
    queue: JobQueue<Job<W>>,
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
        Self::start_with_idle_timeout(name, queue, workers, IDLE_TIMEOUT)
    }

    fn start_with_idle_timeout(
        name: &str,
        queue: usize,
        workers: impl IntoIterator<Item = W>,
        idle_timeout: Duration,
    ) -> io::Result<Self> {
        let (queue, receiver) = JobQueue::bounded(queue);
        for (number, worker) in workers.into_iter().enumerate() {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(worker, &receiver, idle_timeout))?;
        }
        Ok(Self { queue })
    }

    /// Runs the job and returns its result. If the returned future is dropped before the job starts,
    /// the job does not run.
    ///
    /// # Errors
    /// [`WorkerError::Overloaded`] at once if the queue is full. [`WorkerError::Panicked`] if the job
    /// panics; its thread continues with the next job. [`WorkerError::Closed`] if the pool is closed.
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
        self.queue.try_send(job)?;
        outcome.await.map_err(|_| {
            if self.queue.is_closed() { WorkerError::Closed } else { WorkerError::Panicked }
        })
    }

    /// Returns the number of jobs that wait.
    #[must_use]
    pub fn queue_length(&self) -> usize {
        self.queue.length()
    }

    /// Rejects further jobs, finishes the queued ones, and waits until the threads have dropped
    /// their state.
    pub async fn close(&self) {
        self.queue.close();
        self.queue.ended().await;
    }
}

fn work<W: Worker>(mut worker: W, receiver: &JobReceiver<Job<W>>, idle_timeout: Duration) {
    let mut is_started = false;
    while let Some(job) = next_job(&mut worker, &receiver.jobs, idle_timeout) {
        if !std::mem::replace(&mut is_started, true) {
            worker.start();
        }
        // A panic drops the job's sender, so its caller gets `Panicked`.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut worker)));
    }
}

/// Waits for the next job, and releases memory meanwhile. Returns `None` if the queue is closed.
fn next_job<W: Worker>(
    worker: &mut W,
    jobs: &Receiver<Job<W>>,
    idle_timeout: Duration,
) -> Option<Job<W>> {
    for _ in 0..2 {
        match jobs.recv_timeout(idle_timeout) {
            Err(RecvTimeoutError::Timeout) => worker.release_memory(),
            next => return next.ok(),
        }
    }
    jobs.recv().ok()
}

/// Lowers the priority of this thread. Keeps the priority under a seccomp filter, because a filter may
/// kill the process at the call.
pub fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let status = std::fs::read_to_string("/proc/thread-self/status");
        if !status.is_ok_and(|status| has_no_filter(&status)) {
            return;
        }
        // On Linux both calls affect only the calling thread. If a call fails, the thread keeps its
        // priority.
        let niceness = getpriority_process(None).unwrap_or_default().max(NICENESS);
        let _ = setpriority_process(None, niceness);
    }
}

/// Returns whether a thread with this status has no seccomp filter (proc(5): mode 0). A filter does
/// not tell which calls it kills.
#[cfg(target_os = "linux")]
pub(crate) fn has_no_filter(status: &str) -> bool {
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_none_or(|mode| mode.trim() == "0")
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

    impl Worker for mpsc::Sender<()> {}

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
    async fn closed_pool_finishes_queued_jobs_and_drops_its_state() {
        let (held, dropped) = mpsc::channel::<()>();
        let pool = Arc::new(WorkerPool::start("closing", 2, [held]).unwrap());
        let (start, started) = mpsc::channel::<()>();
        let mut first = Box::pin(pool.run(move |_| started.recv().unwrap_err()));
        let mut second = Box::pin(pool.run(|_| 2));
        assert_eq!((&mut first).now_or_never(), None);
        assert_eq!((&mut second).now_or_never(), None);
        let mut close = Box::pin(pool.close());
        assert_eq!((&mut close).now_or_never(), None, "a job still runs");
        assert_eq!(pool.run(|_| 3).await, Err(WorkerError::Closed));
        drop(start);
        close.await;
        assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected), "a thread runs");
        assert_eq!((first.await, second.await), (Ok(mpsc::RecvError), Ok(2)));
        pool.close().await;
    }

    /// Worker that reports each release of memory.
    struct Reporter(mpsc::Sender<()>);

    impl Worker for Reporter {
        fn release_memory(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    #[tokio::test]
    async fn idle_worker_releases_memory_twice_after_each_job() {
        let (sender, releases) = mpsc::channel();
        let worker = [Reporter(sender)];
        let idle_timeout = Duration::from_millis(1);
        let pool = WorkerPool::start_with_idle_timeout("idle", 1, worker, idle_timeout).unwrap();
        for _ in 0..2 {
            for _ in 0..2 {
                releases.recv_timeout(Duration::from_mins(1)).expect("a release");
            }
            assert_eq!(pool.run(|_| 7).await, Ok(7));
        }
        pool.close().await;
        assert!(releases.iter().count() <= 2);
    }

    #[tokio::test]
    async fn job_of_a_dropped_caller_does_not_run() {
        let pool = pool(2);
        let blocker = block(&pool).await;
        assert!(pool.run(|count| count.jobs += 1).now_or_never().is_none());
        drop(blocker);
        assert_eq!(pool.run(|count| count.jobs).await, Ok(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn seccomp_filter_is_found_in_the_status() {
        for (status, expected) in [
            ("Name:\thashing-0\nSeccomp:\t0\nSeccomp_filters:\t0\n", true),
            ("Name:\thashing-0\nSeccomp:\t2\nSeccomp_filters:\t1\n", false),
            ("Seccomp:\t1\n", false),
            // The kernel has no seccomp.
            ("Name:\thashing-0\nThreads:\t2\n", true),
        ] {
            assert_eq!(has_no_filter(status), expected, "{status}");
        }
    }
}
