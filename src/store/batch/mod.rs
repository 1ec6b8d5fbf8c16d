//! Concurrent requests of one kind share a round trip. A [`Batcher`] takes all waiting requests,
//! runs them as one batch, answers each of them, and repeats.
//!
//! It has no timer: a single request pays one round trip, and under load batches grow by
//! themselves. Not here: the statement of a batch, see the implementations of [`Batch`].

mod group_commit;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use super::{Result, StoreError};

pub(super) use group_commit::{BatchError, GroupCommit, Member};

/// Runs requests of one kind together.
#[async_trait]
pub(super) trait Batch: Send + Sync + 'static {
    type Request: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// Runs all requests, and returns their answers in the same order. The batcher waits for the
    /// end of a batch even if every client has left, so it never interrupts a commit.
    async fn run(
        &self,
        requests: &[&Self::Request],
    ) -> std::result::Result<Vec<Result<Self::Answer>>, BatchError>;
}

#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    /// Maximum number of waiting requests. A further one fails with [`StoreError::Overloaded`].
    pub(super) queue: usize,
    /// Maximum number of requests in a batch.
    pub(super) batch: usize,
    /// How long a request waits before it fails with [`StoreError::Unavailable`]. If its batch has
    /// not started by then, the request is dropped.
    pub(super) timeout: Duration,
}

/// A queue of requests of one kind. Its task ends when the batcher is dropped.
pub(super) struct Batcher<B: Batch> {
    queue: mpsc::Sender<PendingRequest<B>>,
    timeout: Duration,
}

struct PendingRequest<B: Batch> {
    request: B::Request,
    answer: oneshot::Sender<Result<B::Answer>>,
}

impl<B: Batch> Batcher<B> {
    /// Starts the task, on the current runtime.
    pub(super) fn open(batch: B, limits: BatchLimits) -> Self {
        let (queue, pending) = mpsc::channel(limits.queue);
        tokio::spawn(run_batches(batch, pending, limits.batch));
        Self { queue, timeout: limits.timeout }
    }

    /// Adds the request to the next batch and waits for its answer. If this future is dropped
    /// before the batch starts, the request does not run. After that, it runs to its end.
    ///
    /// # Errors
    /// The errors of the request, and those that [`BatchLimits`] names.
    pub(super) async fn submit(&self, request: B::Request) -> Result<B::Answer> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(PendingRequest { request, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::unavailable(TASK_ENDED),
        })?;
        match tokio::time::timeout(self.timeout, outcome).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::unavailable(TASK_ENDED)),
            Err(_) => Err(StoreError::unavailable("the database did not answer in time")),
        }
    }
}

const TASK_ENDED: &str = "the task of the batcher has ended";

async fn run_batches<B: Batch>(
    batch: B,
    mut queue: mpsc::Receiver<PendingRequest<B>>,
    max_requests: usize,
) {
    let mut pending = Vec::new();
    while queue.recv_many(&mut pending, max_requests).await > 0 {
        // A request whose client has left is dropped.
        let mut commit = GroupCommit::new(pending.drain(..).filter(Member::is_awaited).collect());
        while let Some(requests) = commit.next_batch() {
            let outcome = run(&batch, &requests).await;
            commit.settle(requests, outcome);
        }
    }
}

/// Runs the requests. If the batch panics or returns the wrong number of answers, only its own
/// requests fail.
async fn run<B: Batch>(
    batch: &B,
    pending: &[PendingRequest<B>],
) -> std::result::Result<Vec<Result<B::Answer>>, BatchError> {
    let requests: Vec<&B::Request> = pending.iter().map(|pending| &pending.request).collect();
    let outcome = AssertUnwindSafe(batch.run(&requests)).catch_unwind().await;
    let internal = |cause: &str| BatchError::Final(StoreError::internal(cause));
    let answers = outcome.map_err(|_| internal("a batch panicked"))??;
    if answers.len() == pending.len() {
        return Ok(answers);
    }
    Err(internal("a batch returned the wrong number of answers"))
}

impl<B: Batch> Member for PendingRequest<B> {
    type Answer = Result<B::Answer>;

    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    fn acknowledge(self, answer: Self::Answer) {
        // Fails if the client has left; its request stays committed.
        let _ = self.answer.send(answer);
    }

    fn refuse(self, error: StoreError) {
        let _ = self.answer.send(Err(error));
    }
}
