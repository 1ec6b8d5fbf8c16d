//! Tasks that outlive their request: optional work after the response, and work that must complete
//! even if the client closes the connection.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::error::ApiError;

/// Maximum number of tasks that run after their responses. Further tasks are dropped.
const MAX_SPAWNED: usize = 256;

/// The tasks that run outside their requests.
#[derive(Clone)]
pub struct Background {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Background {
    /// Runs optional work after the response. Drops the work if 256 such tasks already run.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        let work = async move {
            work.await;
            drop(permit);
        };
        self.tasks.spawn(work.in_current_span());
    }

    /// Runs a task that serves many requests. It is in the span of none of them.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Runs work that must happen although its request was dropped. Does nothing if the runtime has
    /// ended.
    pub fn detach(&self, work: impl Future<Output = ()> + Send + 'static) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(work.in_current_span());
        }
    }

    /// Runs the work to completion, even if the returned future is dropped.
    ///
    /// # Errors
    /// The error of the work, or [`ApiError::Internal`] if the runtime shuts down.
    ///
    /// # Panics
    /// If the work panics.
    pub async fn run_to_completion<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.tasks.spawn(work.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(cancelled) => Err(ApiError::internal(cancelled)),
            },
        }
    }

    /// Waits until all tasks are done, at most for the timeout. Called at shutdown.
    pub async fn shutdown(&self, timeout: Duration) {
        self.tasks.close();
        if tokio::time::timeout(timeout, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "background tasks cut off at shutdown");
        }
    }
}

impl Default for Background {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_SPAWNED)), tasks: TaskTracker::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_over_the_limit_is_dropped() {
        let background = Background::default();
        for _ in 0..MAX_SPAWNED {
            background.spawn(pending());
        }
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        background.spawn(async move { done.store(true, Ordering::SeqCst) });
        tokio::task::yield_now().await;
        assert!(!is_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn finished_work_frees_its_permit() {
        let background = Background::default();
        for _ in 0..2 * MAX_SPAWNED {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            background.spawn(async move { sender.send(()).unwrap() });
            receiver.await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn dropped_future_does_not_stop_its_work() {
        let background = Background::default();
        let (resume, paused) = tokio::sync::oneshot::channel::<()>();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let work = background.run_to_completion(async move {
            paused.await.unwrap();
            done.store(true, Ordering::SeqCst);
            Ok(())
        });
        // The first poll starts the work. The future is dropped at the end of the statement.
        assert!(futures_util::poll!(Box::pin(work)).is_pending());
        resume.send(()).unwrap();
        background.shutdown(Duration::from_mins(1)).await;
        assert!(is_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn result_and_panic_of_the_work_are_passed_on() {
        let background = Background::default();
        assert_eq!(background.run_to_completion(async { Ok(7) }).await.unwrap(), 7);
        let failed = background.run_to_completion(async { Err::<(), _>(ApiError::NotOwner) }).await;
        assert!(matches!(failed, Err(ApiError::NotOwner)));
        let same = Background::clone(&background);
        let panicked = tokio::spawn(async move {
            same.run_to_completion::<()>(async { panic!("at the disco") }).await
        });
        let panic = panicked.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"at the disco"));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_does_not_wait_beyond_its_timeout() {
        let background = Background::default();
        background.spawn(pending());
        background.shutdown(Duration::from_secs(3)).await;
    }
}
