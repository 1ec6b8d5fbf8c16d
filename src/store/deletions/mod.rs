//! Deletes the rows of closed accounts. Closing an account is one statement. Its rows follow in
//! slices, each in a short transaction, so that no other request waits for a large account.
//!
//! One task of the store runs the slices, in turn for all closed accounts. It begins with those
//! that another process left behind. For a large account, the task also finds a range of posts that
//! lists pass over. Not here: the statements, see `deletions.rs` of each store.

pub(super) mod hidden_range;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use self::hidden_range::{HiddenRange, HiddenRangeStore, RangeSearch, widest};
use super::{DeleteUser, Result, StoreError};
use crate::domain::user::UserId;
use crate::error_chain::error_chain;

/// Maximum number of votes in a slice. Until its end, a slice holds up the votes on as many posts.
pub(super) const VOTES_PER_SLICE: i64 = 500;

/// Maximum number of posts in a slice.
pub(super) const POSTS_PER_SLICE: i64 = 200;

/// A slice of posts ends after this cost: the bytes of its texts, and [`TITLE_COST`] for each
/// indexed byte of its titles.
pub(super) const COST_PER_SLICE: i64 = 4 * 1024 * 1024;

/// The index of the titles makes a byte of a title cost as much as this many bytes of a content.
pub(super) const TITLE_COST: i64 = 100;

/// Maximum number of idempotency keys in a slice.
pub(super) const KEYS_PER_SLICE: i64 = 500;

/// Number of slices that the response to a deletion waits for. An account with some thousand rows
/// is gone by then; the rows of a larger one follow after the response.
const AWAITED_SLICES: u32 = 20;

/// How long a caller waits for the closing of the account, and then for the awaited slices.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of waiting requests. A further one waits until the task takes it.
const QUEUE: usize = 256;

/// Pause between two searches for accounts that another process closed and did not delete.
/// Until the search, the lists of this process read every hidden post.
const SEARCH_PAUSE: Duration = Duration::from_secs(10);

/// Pause after a slice that failed or whose account another process has locked. It doubles with
/// each further failure, up to [`MAX_PAUSE`].
pub(super) const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// The order in which the rows of a closed account are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The first step: the votes that the account cast.
    VotesCast,
    /// The votes on its next posts. A post may have any number of votes.
    VotesReceived,
    /// Its next posts, newest first, because lists skip the hidden posts from the newest one on.
    Posts,
    /// The idempotency keys of its last day.
    IdempotencyKeys,
    /// The account with all its other rows. Their number is bounded.
    Account,
}

/// The outcome of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    /// The step may have more rows.
    More,
    /// The step has no more rows.
    Last,
    /// Nothing was deleted, because another process is deleting a slice of the account.
    Busy,
    /// The account does not exist any more.
    NoAccount,
}

/// The statements of a store.
#[async_trait]
pub(super) trait SliceStore: HiddenRangeStore + 'static {
    /// Returns closed accounts that still exist, a bounded number.
    async fn find_closed_accounts(&self) -> Result<Vec<UserId>>;

    /// Deletes the next rows of a step in one transaction.
    async fn delete_slice(&self, account: UserId, step: Step) -> Result<Slice>;
}

/// The task that deletes. It ends when this is closed or dropped.
pub(super) struct Deletions {
    queue: mpsc::Sender<Request>,
    hidden: watch::Receiver<Option<HiddenRange>>,
    task: AbortHandle,
}

/// A closed account. The sender is dropped when the caller need not wait any longer.
type Request = (UserId, oneshot::Sender<()>);

impl Deletions {
    /// Starts the task, on the current runtime.
    pub(super) fn open(store: impl SliceStore) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        let (publisher, hidden) = watch::channel(None);
        let task = tokio::spawn(run(store, requests, publisher)).abort_handle();
        Self { queue, hidden, task }
    }

    /// Returns the widest known range of IDs without a post of an open account.
    pub(super) fn hidden_range(&self) -> Option<HiddenRange> {
        *self.hidden.borrow()
    }

    pub(super) fn watch_hidden_range(&self) -> watch::Receiver<Option<HiddenRange>> {
        self.hidden.clone()
    }

    /// Ends the task. A slice in flight is applied entirely or not at all, and the next store on the
    /// database deletes the rest.
    pub(super) fn close(&self) {
        self.task.abort();
    }

    /// Closes the account and deletes its rows. Both continue if this future is dropped. Returns
    /// after [`AWAITED_SLICES`] or if a slice fails, too: the account is closed, and the task
    /// deletes the rest.
    ///
    /// # Errors
    /// Those of `close`.
    pub(super) async fn delete(
        &self,
        account: UserId,
        close: impl Future<Output = Result<DeleteUser>> + Send + 'static,
    ) -> Result<DeleteUser> {
        let queue = self.queue.clone();
        let (awaited, slices) = oneshot::channel();
        let closing = tokio::spawn(async move {
            let outcome = close.await;
            if matches!(outcome, Ok(DeleteUser::Deleted)) {
                // Fails if the store is closed. The next process finds the account.
                let _ = queue.send((account, awaited)).await;
            }
            outcome
        });
        let outcome = match timeout(TIMEOUT, closing).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(error)) => return Err(StoreError::internal(error)),
            Err(_) => return Err(StoreError::unavailable("the database did not answer in time")),
        };
        if outcome == DeleteUser::Deleted {
            let _ = timeout(TIMEOUT, slices).await;
        }
        Ok(outcome)
    }
}

/// A closed account whose rows are being deleted.
struct Deletion {
    account: UserId,
    step: Step,
    slices: u32,
    awaited: Option<oneshot::Sender<()>>,
    failures: u32,
    resumes_at: Instant,
    range: RangeSearch,
}

async fn run(
    store: impl SliceStore,
    mut requests: mpsc::Receiver<Request>,
    hidden: watch::Sender<Option<HiddenRange>>,
) {
    let mut deletions: VecDeque<Deletion> = VecDeque::new();
    let mut next_search = Instant::now();
    while !requests.is_closed() {
        while let Ok((account, awaited)) = requests.try_recv() {
            add(&mut deletions, account, Some(awaited));
        }
        let now = Instant::now();
        if now >= next_search {
            search(&store, &mut deletions).await;
            next_search = now + SEARCH_PAUSE;
        }
        let is_due = |found: &&mut Deletion| found.next_range_step().is_some_and(|at| at <= now);
        if let Some(deletion) = deletions.iter_mut().find(is_due) {
            deletion.range.advance(&store, deletion.account).await;
            publish(&hidden, &deletions);
        }
        if let Some(index) = deletions.iter().position(|found| found.resumes_at <= now) {
            if let Some(deletion) = deletions.remove(index) {
                // At the end of the queue, so that the accounts take turns.
                deletions.extend(delete_slice(&store, deletion).await);
                publish(&hidden, &deletions);
            }
            continue;
        }
        let pauses = deletions.iter().map(|found| found.resumes_at);
        let steps = deletions.iter().filter_map(Deletion::next_range_step);
        let wake_up = pauses.chain(steps).chain([next_search]).min().unwrap_or(next_search);
        tokio::select! {
            request = requests.recv() => match request {
                Some((account, awaited)) => add(&mut deletions, account, Some(awaited)),
                None => return,
            },
            () = sleep_until(wake_up) => {}
        }
    }
}

fn add(deletions: &mut VecDeque<Deletion>, account: UserId, awaited: Option<oneshot::Sender<()>>) {
    match deletions.iter_mut().find(|known| known.account == account) {
        Some(known) => known.awaited = awaited.or(known.awaited.take()),
        None => deletions.push_back(Deletion {
            account,
            step: Step::VotesCast,
            slices: 0,
            awaited,
            failures: 0,
            resumes_at: Instant::now(),
            range: RangeSearch::start(),
        }),
    }
}

/// Tells the lists which range they can pass over. A deleted account takes its range with it.
fn publish(hidden: &watch::Sender<Option<HiddenRange>>, deletions: &VecDeque<Deletion>) {
    let range = widest(deletions.iter().map(|deletion| deletion.range.found()));
    hidden.send_if_modified(|known| std::mem::replace(known, range) != range);
}

async fn search(store: &impl SliceStore, deletions: &mut VecDeque<Deletion>) {
    match store.find_closed_accounts().await {
        Ok(accounts) => {
            // Another process may have deleted the last row, or a backup may have been restored.
            let is_gone = |known: &&mut Deletion| !accounts.contains(&known.account);
            for known in deletions.iter_mut().filter(is_gone) {
                known.resumes_at = Instant::now();
            }
            for account in accounts {
                add(deletions, account, None);
            }
        }
        Err(error) => {
            tracing::warn!(error = error_chain(&error), "could not look for closed accounts");
        }
    }
}

/// Deletes a slice. Returns the deletion if it is not finished.
async fn delete_slice(store: &impl SliceStore, mut deletion: Deletion) -> Option<Deletion> {
    let outcome = store.delete_slice(deletion.account, deletion.step).await;
    deletion.slices += 1;
    let step = match outcome {
        Ok(Slice::Busy) => {
            deletion.pause();
            return Some(deletion);
        }
        Ok(slice) => step_after(deletion.step, slice),
        Err(error) => {
            deletion.pause();
            deletion.awaited = None;
            tracing::warn!(
                error = error_chain(&error),
                user = deletion.account.0,
                retry_in = ?deletion.resumes_at.saturating_duration_since(Instant::now()),
                "could not delete rows of a closed account"
            );
            return Some(deletion);
        }
    };
    if deletion.slices >= AWAITED_SLICES {
        deletion.awaited = None;
    }
    let Some(step) = step else {
        if deletion.awaited.is_none() {
            let (user, slices) = (deletion.account.0, deletion.slices);
            tracing::info!(user, slices, "deleted the last row of a closed account");
        }
        return None;
    };
    deletion.step = step;
    deletion.failures = 0;
    Some(deletion)
}

/// Returns the step after a slice, or `None` if the account is deleted. After [`Slice::Busy`] the
/// same step comes again.
pub(super) fn step_after(step: Step, slice: Slice) -> Option<Step> {
    match slice {
        Slice::More => next_step(step, true),
        Slice::Last => next_step(step, false),
        Slice::Busy => Some(step),
        Slice::NoAccount => None,
    }
}

/// Returns the next step, or `None` if the account is deleted.
fn next_step(step: Step, has_more: bool) -> Option<Step> {
    match (step, has_more) {
        (Step::VotesCast, true) => Some(Step::VotesCast),
        (Step::VotesCast, false) | (Step::VotesReceived | Step::Posts, true) => {
            Some(Step::VotesReceived)
        }
        (Step::VotesReceived, false) => Some(Step::Posts),
        (Step::Posts, false) | (Step::IdempotencyKeys, true) => Some(Step::IdempotencyKeys),
        (Step::IdempotencyKeys, false) => Some(Step::Account),
        (Step::Account, _) => None,
    }
}

impl Deletion {
    /// Returns when to take the next step of the search for a range. A small account is deleted
    /// before its caller stops to wait.
    fn next_range_step(&self) -> Option<Instant> {
        self.range.next_step().filter(|_| self.awaited.is_none())
    }

    fn pause(&mut self) {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.resumes_at = Instant::now() + MIN_PAUSE.saturating_mul(factor).min(MAX_PAUSE);
    }
}
