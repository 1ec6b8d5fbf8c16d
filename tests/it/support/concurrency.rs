//! Many things at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Drives all of them together, so that each is under way before the first is done, and gives
/// their outcomes in the order of the futures.
pub async fn run_concurrently<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outcomes: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, outcome) in running.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *outcome = Some(done);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

/// Begins it, and drops it at its first wait: what a client does that leaves.
pub async fn poll_once<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Turns after which to leave: few at first, and more than anything takes at last.
pub fn growing_poll_limits() -> impl Iterator<Item = usize> {
    std::iter::once(0).chain((0..usize::BITS).map(|doublings| 1 << doublings))
}

/// What it came to within so many turns of everything else; after them whoever waited for it leaves.
pub async fn poll_at_most<F: Future>(turns: usize, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    for _ in 0..=turns {
        if let Poll::Ready(outcome) = futures_util::poll!(&mut work) {
            return Some(outcome);
        }
        tokio::task::yield_now().await;
    }
    None
}
