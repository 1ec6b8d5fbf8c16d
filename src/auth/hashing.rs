//! The threads that hash. A hash takes a tenth of a second and 64 MiB: it never runs on the
//! threads that serve requests, at most one runs per core, and a queue of bounded length says
//! "not now" instead of growing. What is computed is `password`'s.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use argon2::Block;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tokio::sync::oneshot;

/// Jobs that may wait for each thread. With a fifth of a second a hash when every core hashes, the
/// last waits some three seconds: a client that is told "later" at once is served better than one that waits on.
const QUEUE_PER_THREAD: usize = 16;

/// How much these threads step back for those that serve requests (the `nice` of Linux): beside one that
/// never rests, a hash takes ten times as long, and still gets done.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A thread that had nothing to do for this long gives its memory back.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    #[error("the hashing queue is full")]
    Overloaded,
    #[error("a hash could not be computed")]
    Failed,
}

type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// A bounded number of threads with a bounded queue, each with one block of memory that it uses
/// again and again. They end when the pool is dropped.
pub(super) struct HashingPool {
    queue: Sender<Job>,
}

impl HashingPool {
    pub(super) fn new(threads: NonZeroUsize) -> std::io::Result<Self> {
        let (queue, jobs) = crossbeam_channel::bounded(threads.get() * QUEUE_PER_THREAD);
        for number in 0..threads.get() {
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs the computation on one of the threads, unless the caller goes away before its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            // Who has left while the job waited needs no outcome, and those behind it no delay.
            if !answer.is_closed() {
                let _ = answer.send(compute(memory));
            }
        });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => HashingError::Overloaded,
            TrySendError::Disconnected(_) => HashingError::Failed,
        })?;
        outcome.await.map_err(|_| HashingError::Failed)
    }
}

fn work(jobs: &Receiver<Job>) {
    step_back();
    let mut memory = Vec::new();
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(job) => {
                // A panic ends the one job; its caller hears of it by the dropped channel.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
            }
            Err(RecvTimeoutError::Timeout) => memory = Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A hash is long, and whoever reads a post does not want to wait for a slice of it to end.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // Both are of this thread alone, on Linux. If it may not, it goes on as before.
        let niceness = getpriority_process(None).unwrap_or_default().max(NICENESS);
        let _ = setpriority_process(None, niceness);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_hashes_steps_back_for_whoever_serves() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The 19th of proc(5), counted from behind the name, which is the second.
            let after_name = stat.rsplit(") ").next().unwrap();
            after_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = niceness();
        let pool = HashingPool::new(NonZeroUsize::MIN).unwrap();
        let hashing = pool.run(move |_| niceness()).await.unwrap();
        assert_eq!(hashing, before.max(NICENESS));
        assert_eq!(niceness(), before);
    }
}
