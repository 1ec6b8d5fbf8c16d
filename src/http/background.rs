//! Work that does not end with its request: what goes on after the answer, little, and none that a client
//! relies on; and what must be done to its end though the client leaves in the middle.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::error::ApiError;

/// Pieces of work after their answers that go on at once. Of more nothing is done.
const PLACES: usize = 256;

#[derive(Clone)]
pub struct Background {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Background {
    /// Does it when there is time, if there is a place.
    pub fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let work = async move {
            work.await;
            drop(place);
        };
        self.tasks.spawn(work.in_current_span());
    }

    /// Does it to its end, whether or not whoever waits for it stays.
    ///
    /// # Errors
    /// Those of the work, and of a runtime that ends.
    ///
    /// # Panics
    /// As the work does.
    pub async fn complete<T: Send + 'static>(
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

    /// Waits until all of it is done, so long at most; for a service that ends.
    pub async fn end(&self, at_most: Duration) {
        self.tasks.close();
        if tokio::time::timeout(at_most, self.tasks.wait()).await.is_err() {
            tracing::warn!(pieces = self.tasks.len(), "work in the background was cut off");
        }
    }
}

impl Default for Background {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), tasks: TaskTracker::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn of_too_much_nothing_is_done() {
        let background = Background::default();
        for _ in 0..PLACES {
            background.run(pending());
        }
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        background.run(async move { done.store(true, Ordering::SeqCst) });
        tokio::task::yield_now().await;
        assert!(!is_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_place_is_free_again_after_its_work() {
        let background = Background::default();
        for _ in 0..2 * PLACES {
            let (told, heard) = tokio::sync::oneshot::channel();
            background.run(async move { told.send(()).unwrap() });
            heard.await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_must_be_completed_is_though_nobody_waits() {
        let background = Background::default();
        let (go_on, waiting) = tokio::sync::oneshot::channel::<()>();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let work = background.complete(async move {
            waiting.await.unwrap();
            done.store(true, Ordering::SeqCst);
            Ok(())
        });
        // It has begun, and whoever waited leaves.
        assert!(futures_util::poll!(Box::pin(work)).is_pending());
        go_on.send(()).unwrap();
        background.end(Duration::from_mins(1)).await;
        assert!(is_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn it_answers_and_panics_as_its_work_does() {
        let background = Background::default();
        assert_eq!(background.complete(async { Ok(7) }).await.unwrap(), 7);
        let failed = background.complete(async { Err::<(), _>(ApiError::NotOwner) }).await;
        assert!(matches!(failed, Err(ApiError::NotOwner)));
        let told = Background::clone(&background);
        let panicked =
            tokio::spawn(
                async move { told.complete::<()>(async { panic!("at the disco") }).await },
            );
        let panic = panicked.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"at the disco"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_not_waited_for_forever() {
        let background = Background::default();
        background.run(pending());
        background.end(Duration::from_secs(3)).await;
    }
}
