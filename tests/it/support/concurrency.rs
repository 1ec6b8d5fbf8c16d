//! Futures that run concurrently, and futures that are dropped early.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Polls all futures in turn, so that each is in flight before the first is done. Returns their
/// outputs in the order of the futures.
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

/// Polls the future once and drops it, as happens if a client disconnects.
pub async fn poll_once<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Returns growing limits for [`poll_at_most`]: 0, 1, 2, 4 … up to more than any work needs.
pub fn growing_poll_limits() -> impl Iterator<Item = usize> {
    std::iter::once(0).chain((0..usize::BITS).map(|doublings| 1 << doublings))
}

/// Polls the work at most `limit + 1` times and yields to the runtime in between. Returns `None`,
/// and drops the work, if it is not done by then.
pub async fn poll_at_most<F: Future>(limit: usize, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    for _ in 0..=limit {
        if let Poll::Ready(outcome) = futures_util::poll!(&mut work) {
            return Some(outcome);
        }
        tokio::task::yield_now().await;
    }
    None
}
