//! Ranges of post IDs that lists pass over: all their posts belong to closed accounts. Without such
//! a range, a list reads every hidden post that is newer than the posts it returns.
//!
//! A range is in memory only, and stays right while its account exists. A closed account never
//! opens again, and new posts get larger IDs than all others. Only another program can add a post to
//! a range: with an ID of its own choice, or by giving a post of the range to an open account. Lists
//! show such a post after the closed account is deleted.
//!
//! Not here: the statements, see `hidden_range.rs` of each store.

use async_trait::async_trait;
use tokio::time::{Duration, Instant};

use crate::domain::user::UserId;
use crate::error_chain::error_chain;
use crate::store::Result;

/// A narrower range is not worth another statement: a list reads so many hidden posts within a
/// millisecond.
const MIN_WIDTH: u64 = 1000;

/// Maximum number of ranges of an account that are compared, newest first. Posts of other accounts
/// lie between them.
const MAX_RANGES: usize = 100;

/// Pause before the running transactions are read again.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// Pause after an error. A long walk may have exceeded its timeout.
const RETRY_PAUSE: Duration = Duration::from_mins(1);

/// The IDs above `above` up to `up_to`. No post of an open account has one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct HiddenRange {
    pub(in crate::store) above: i64,
    pub(in crate::store) up_to: i64,
}

impl HiddenRange {
    /// Has no ID that is not above it: for statements that need a range.
    pub(in crate::store) const EMPTY: Self = Self { above: i64::MAX, up_to: i64::MAX };

    /// Returns the range from the newest hidden post down to the next post of an open account. If
    /// there is none, the range ends with the oldest post.
    pub(in crate::store) fn new(newest: i64, open: Option<i64>, oldest: i64) -> Self {
        Self { above: open.unwrap_or(oldest.saturating_sub(1)), up_to: newest }
    }

    /// Returns the number of IDs.
    pub(super) fn width(self) -> u64 {
        self.up_to.abs_diff(self.above)
    }
}

/// The last ID that a post has got, and the transactions that may have got an ID and not ended.
#[derive(Debug, Default)]
pub(in crate::store) struct LastId {
    pub(in crate::store) id: i64,
    pub(in crate::store) transactions: Vec<String>,
}

/// The statements of a store.
#[async_trait]
pub(in crate::store) trait HiddenRangeStore: Send + Sync {
    /// Returns `None` if a later post may get a lower ID.
    async fn find_last_id(&self) -> Result<Option<LastId>>;

    /// Returns those of the transactions that may still add a post.
    async fn find_running(&self, transactions: Vec<String>) -> Result<Vec<String>>;

    /// Returns the range from the account's newest post with at most the ID `up_to` down to the next
    /// post of an open account. Returns `None` if the account has no such post.
    async fn find_hidden_range(&self, account: UserId, up_to: i64) -> Result<Option<HiddenRange>>;
}

/// The search for the widest range of a closed account.
pub(super) struct RangeSearch {
    found: Option<HiddenRange>,
    /// Known after the first step.
    last_id: Option<LastId>,
    /// `None` after the last step.
    next_step: Option<Instant>,
}

impl RangeSearch {
    pub(super) fn start() -> Self {
        Self { found: None, last_id: None, next_step: Some(Instant::now()) }
    }

    pub(super) fn found(&self) -> Option<HiddenRange> {
        self.found
    }

    pub(super) fn next_step(&self) -> Option<Instant> {
        self.next_step
    }

    /// Takes the next step. None waits for a transaction.
    pub(super) async fn advance(&mut self, store: &impl HiddenRangeStore, account: UserId) {
        match self.try_advance(store, account).await {
            Ok(pause) => self.next_step = pause.map(|pause| Instant::now() + pause),
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    user = account.0,
                    "could not find the hidden posts of a closed account, lists read all of them"
                );
                self.last_id = None;
                self.next_step = Some(Instant::now() + RETRY_PAUSE);
            }
        }
    }

    /// Returns the pause before the next step, or `None` after the last one.
    async fn try_advance(
        &mut self,
        store: &impl HiddenRangeStore,
        account: UserId,
    ) -> Result<Option<Duration>> {
        let mut last_id = match self.last_id.take() {
            Some(LastId { id, transactions }) => {
                LastId { id, transactions: store.find_running(transactions).await? }
            }
            None => match store.find_last_id().await? {
                Some(last_id) => last_id,
                None => return Ok(None),
            },
        };
        if !last_id.transactions.is_empty() {
            self.last_id = Some(last_id);
            return Ok(Some(POLL_PAUSE));
        }
        for _ in 0..MAX_RANGES {
            let Some(range) = store.find_hidden_range(account, last_id.id).await? else { break };
            last_id.id = range.above;
            if range.width() >= MIN_WIDTH {
                self.found = widest([self.found, Some(range)]);
            }
        }
        Ok(None)
    }
}

/// Returns the widest of the known ranges.
pub(super) fn widest(ranges: impl IntoIterator<Item = Option<HiddenRange>>) -> Option<HiddenRange> {
    ranges.into_iter().flatten().max_by_key(|range| range.width())
}
