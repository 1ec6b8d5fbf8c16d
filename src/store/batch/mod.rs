//! Concurrent requests of one kind share a round trip. A [`Batcher`] takes all waiting requests,
//! runs them as one batch, answers each of them, and repeats.
//!
//! It has no timer: a single request pays one round trip, and under load batches grow by
//! themselves. Requests that a lock blocks run apart, see `blocked/`.
//!
//! Not here: the statement of a batch, see the implementations of [`Batch`].

mod blocked;
mod group_commit;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use self::blocked::{Blocked, BlockedRequests};
use super::{Result, StoreError};
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::metrics::{Histogram, MEMBERS};

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

    /// Returns everything that can block the request. Requests that share a key can be blocked by the same
    /// lock.
    fn lock_keys(_: &Self::Request) -> Vec<LockKey> {
        Vec::new()
    }

    /// Returns for each request of a blocked batch the key that probably blocks it, by default its
    /// first one. A request without a key fails.
    async fn find_blocking_keys(&self, requests: &[&Self::Request]) -> Vec<Option<LockKey>> {
        requests.iter().map(|request| Self::lock_keys(request).first().copied()).collect()
    }
}

/// A row, and all that belongs to it, that another session can lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LockKey {
    /// The post, its count and its votes.
    Post(PostId),
    User(UserId),
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
    members: Arc<Histogram>,
}

struct PendingRequest<B: Batch> {
    request: B::Request,
    answer: oneshot::Sender<Result<B::Answer>>,
    /// How often a lock has blocked the request.
    attempts: u32,
}

impl<B: Batch> Batcher<B> {
    /// Starts the tasks, on the current runtime.
    pub(super) fn open(batch: B, limits: BatchLimits) -> Self {
        let (queue, pending) = mpsc::channel(limits.queue);
        let members = Arc::new(Histogram::new(&MEMBERS));
        tokio::spawn(run_batches(Arc::new(batch), pending, limits, Arc::clone(&members)));
        Self { queue, timeout: limits.timeout, members }
    }

    /// Returns the number of requests that wait for a batch.
    pub(super) fn queue_length(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Returns the sizes of the batches so far.
    pub(super) fn members(&self) -> &Histogram {
        &self.members
    }

    /// Adds the request to the next batch and waits for its answer. If this future is dropped
    /// before the batch starts, the request does not run. After that, it runs to its end.
    ///
    /// # Errors
    /// The errors of the request, and those that [`BatchLimits`] names.
    pub(super) async fn submit(&self, request: B::Request) -> Result<B::Answer> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(PendingRequest { request, answer, attempts: 0 }).map_err(|error| {
            match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => StoreError::unavailable(TASK_ENDED),
            }
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
    batch: Arc<B>,
    mut queue: mpsc::Receiver<PendingRequest<B>>,
    limits: BatchLimits,
    members: Arc<Histogram>,
) {
    let blocked_requests = BlockedRequests::open(Arc::clone(&batch), limits);
    let mut pending = Vec::new();
    while queue.recv_many(&mut pending, limits.batch).await > 0 {
        let mut requests = std::mem::take(&mut pending);
        // A request whose client has left is dropped.
        requests.retain(Member::is_awaited);
        blocked_requests.divert(&mut requests);
        record_members(&members, requests.len());
        if let Some(blocked) = commit(&*batch, requests).await {
            blocked_requests.set_aside(&batch, blocked).await;
        }
    }
}

/// Counts a batch of this size, unless it is empty.
pub(super) fn record_members(members: &Histogram, count: usize) {
    if count > 0 {
        members.record(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// Commits the requests. If a lock blocks some of them, returns all that have no answer yet.
async fn commit<B: Batch>(batch: &B, requests: Vec<PendingRequest<B>>) -> Option<Blocked<B>> {
    let mut group = GroupCommit::new(requests);
    while let Some(mut requests) = group.next_batch() {
        match run(batch, &requests).await {
            Err(BatchError::Blocked(error)) => {
                // Each of the others could wait for the same lock.
                requests.extend(group.take_rest());
                return Some(Blocked { requests, error });
            }
            outcome => group.settle(requests, outcome),
        }
    }
    None
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
