//! Concurrent requests share a round trip. A [`Lane`] waits for a request, takes everything that
//! is waiting, has it run as one, answers each, and begins again. There are no timers: alone, a
//! request pays one round trip; under load the batch grows by itself.
//!
//! What a batch does with a database is not known here ([`Batch`]).

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use super::{Result, StoreError};

/// How many requests of a kind are run as one.
#[async_trait]
pub(super) trait Batch: Send + Sync + 'static {
    type Request: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// Runs all of them, and gives each its answer, in their order. The lane waits for the end of
    /// it, whoever has left meanwhile: a commit that is on its way is never cut off.
    async fn run(
        &self,
        requests: &[&Self::Request],
    ) -> std::result::Result<Vec<Result<Self::Answer>>, Failure>;
}

/// Why a batch as a whole has no answers.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it happened, and one of its members may be to blame: alone, the others succeed.
    Undone(StoreError),
    /// Running it again would help nobody, or do twice what may have been done.
    Final(StoreError),
}

/// How much a lane takes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Requests that may wait; the next is refused with [`StoreError::Overloaded`].
    pub(super) queue: usize,
    /// Most requests of a batch.
    pub(super) members: usize,
    /// How long a request waits for its answer; then it gets [`StoreError::Unavailable`]. What has
    /// not begun by then does not begin.
    pub(super) patience: Duration,
}

/// A queue of requests of one kind. The lane ends with the last of its handles.
pub(super) struct Lane<B: Batch> {
    queue: mpsc::Sender<Member<B>>,
    patience: Duration,
}

struct Member<B: Batch> {
    request: B::Request,
    answer: oneshot::Sender<Result<B::Answer>>,
}

impl<B: Batch> Lane<B> {
    /// Begins to work, on the runtime that this is called on.
    pub(super) fn open(batch: B, bounds: Bounds) -> Self {
        let (queue, waiting) = mpsc::channel(bounds.queue);
        tokio::spawn(work(batch, waiting, bounds.members));
        Self { queue, patience: bounds.patience }
    }

    /// Joins the batch that leaves next. If this future is dropped before that, nothing happens;
    /// after that the request is carried out all the same.
    ///
    /// # Errors
    /// The request's own, and those of [`Bounds`].
    pub(super) async fn ask(&self, request: B::Request) -> Result<B::Answer> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Member { request, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::unavailable("the lane has ended"),
        })?;
        match tokio::time::timeout(self.patience, outcome).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::unavailable("the lane has ended")),
            Err(_) => Err(StoreError::unavailable("the database did not answer in time")),
        }
    }
}

async fn work<B: Batch>(batch: B, mut queue: mpsc::Receiver<Member<B>>, members: usize) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, members).await > 0 {
        run_together(&batch, waiting.drain(..).filter(is_awaited).collect()).await;
    }
}

/// A client that left before its request began gets nothing done.
fn is_awaited<B: Batch>(member: &Member<B>) -> bool {
    !member.answer.is_closed()
}

async fn run_together<B: Batch>(batch: &B, members: Vec<Member<B>>) {
    if members.is_empty() {
        return;
    }
    match run(batch, &members).await {
        Ok(answers) => acknowledge(members, answers),
        Err(Failure::Undone(_)) if members.len() > 1 => run_one_by_one(batch, members).await,
        Err(Failure::Undone(error) | Failure::Final(error)) => refuse(members, error),
    }
}

async fn run_one_by_one<B: Batch>(batch: &B, members: Vec<Member<B>>) {
    let mut waiting = members.into_iter();
    while let Some(member) = waiting.next() {
        if !is_awaited(&member) {
            continue;
        }
        let alone = vec![member];
        match run(batch, &alone).await {
            Ok(answers) => acknowledge(alone, answers),
            Err(Failure::Undone(error)) => refuse(alone, error),
            Err(Failure::Final(error)) => return refuse(alone.into_iter().chain(waiting), error),
        }
    }
}

/// A batch that panics or miscounts harms its own members, not the lane.
async fn run<B: Batch>(
    batch: &B,
    members: &[Member<B>],
) -> std::result::Result<Vec<Result<B::Answer>>, Failure> {
    let requests: Vec<&B::Request> = members.iter().map(|member| &member.request).collect();
    let outcome = AssertUnwindSafe(batch.run(&requests)).catch_unwind().await;
    let answers =
        outcome.map_err(|_| Failure::Final(StoreError::internal("a batch panicked")))??;
    if answers.len() == members.len() {
        return Ok(answers);
    }
    Err(Failure::Final(StoreError::internal("a batch lost count of its members")))
}

fn acknowledge<B: Batch>(members: Vec<Member<B>>, answers: Vec<Result<B::Answer>>) {
    for (member, answer) in members.into_iter().zip(answers) {
        // Whoever does not wait any more has left; what was done stands all the same.
        let _ = member.answer.send(answer);
    }
}

/// The kind of the error is kept; the error itself can only be shared.
fn refuse<B: Batch>(members: impl IntoIterator<Item = Member<B>>, error: StoreError) {
    let error = Arc::new(error);
    for member in members {
        let _ = member.answer.send(Err(StoreError::shared(&error)));
    }
}
