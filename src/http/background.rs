//! Work that goes on after its request was answered: little, and none that a client relies on.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Pieces of work that go on at once. Of more nothing is done.
const PLACES: usize = 256;

#[derive(Clone)]
pub struct Background {
    places: Arc<Semaphore>,
}

impl Background {
    /// Does it when there is time, if there is a place.
    pub fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        tokio::spawn(async move {
            work.await;
            drop(place);
        });
    }
}

impl Default for Background {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)) }
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
}
