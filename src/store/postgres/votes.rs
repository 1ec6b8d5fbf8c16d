//! Votes in PostgreSQL. Not here: reads of the caller's own votes, see `own_votes.rs`;
//! the counts, which triggers update, see `migrations/`.
//!
//! A vote that a statement reads may be out of date when the statement writes, because other
//! processes write votes too. The outcome is therefore taken from the change itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::PostgresStore;
use super::ballots::{checked_ballots, delete_votes, joined_ballots};
use super::callers::valid_from_params;
use super::column::column;
use super::connection::Value;
use super::distributed::posts_among;
use super::locks::{lock_posts_briefly, post_lock_keys, wait_briefly};
use super::own_votes::list_votes;
use super::pool::Pool;
use super::row::is_open;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::domain::vote::{CastVote, Direction, Vote, VotePage};
use crate::store::batch::{Batch, BatchError, LockKey};
use crate::store::{Result, StoreError, VoteOutcome, VoteStore};

/// Returns a row for each vote: its position in the parameters, whether the caller is accepted,
/// whether the caller sees the post, and what changed.
macro_rules! change_votes {
    ($ballots:expr, $change:expr, $outcome:literal) => {
        concat!(
            "WITH locked AS MATERIALIZED (",
            lock_posts_briefly!("$1"),
            "
             ), ballots AS (
                 ",
            $ballots,
            "
                  WHERE (SELECT count(*) FROM locked) > 0
             ), changed AS (",
            $change,
            ")
             SELECT place, has_caller, has_post, ",
            $outcome,
            "
               FROM ballots
               LEFT JOIN changed
                 ON changed.post_id = ballots.post_id AND changed.user_id = ballots.user_id
              ORDER BY place"
        )
    };
}

macro_rules! cast_votes {
    ($ballots:ident) => {
        change_votes!(
            $ballots!(
                "$2, $3, $4, $5, $6, $7) WITH ORDINALITY
                     AS ballot (post_id, user_id, sees_drafts, least, most, dir, place)"
            ),
            "INSERT INTO votes (post_id, user_id, dir)
         SELECT DISTINCT ON (post_id, user_id) post_id, user_id, dir
           FROM ballots
          WHERE has_caller AND has_post
          ORDER BY post_id, user_id, place DESC
         ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir
          WHERE votes.dir <> excluded.dir
         RETURNING post_id, user_id, xmax = 0 AS is_new",
            "changed.is_new"
        )
    };
}

macro_rules! withdraw_votes {
    ($ballots:ident) => {
        change_votes!(
            $ballots!(
                "$2, $3, $4, $5, $6) WITH ORDINALITY
                     AS ballot (post_id, user_id, sees_drafts, least, most, place)"
            ),
            concat!(delete_votes!(""), " RETURNING votes.post_id, votes.user_id"),
            "changed.post_id IS NOT NULL"
        )
    };
}

statements! {
    // The locks of the posts keep two batches from waiting for each other. The xmax of a new row is
    // 0; that of an existing row is the transaction that locked or deleted it. If a caller votes
    // several times on a post, the last vote with an accepted token stays.
    CAST_VOTES(
        INT4_ARRAY, INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY,
        INT2_ARRAY
    ) = cast_votes!(checked_ballots), cast_votes!(joined_ballots);
    WITHDRAW_VOTES(
        INT4_ARRAY, INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY
    ) = withdraw_votes!(checked_ballots),
        withdraw_votes!(joined_ballots);
    // The foreign key of a new vote locks the user in the same way.
    FIND_UNLOCKED_USERS(INT8_ARRAY) =
        "SELECT id::bigint FROM users WHERE id = ANY($1) ORDER BY id FOR KEY SHARE SKIP LOCKED";
}

#[async_trait]
impl VoteStore for PostgresStore {
    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome> {
        match vote.direction {
            Some(direction) => self.votes.submit((caller, vote.post_id, direction)).await,
            None => self.withdrawals.submit((caller, vote.post_id, ())).await,
        }
    }

    async fn find_votes(&self, caller: Caller, posts: Vec<PostId>) -> Result<Vec<CastVote>> {
        self.own_votes.submit((caller, posts)).await
    }

    async fn list_votes(
        &self,
        caller: Caller,
        limit: u32,
        before: Option<PostId>,
    ) -> Result<VotePage> {
        self.run(async move |pool| list_votes(&pool, caller, limit, before).await).await
    }
}

/// The vote of a caller on a post. `D` is [`Direction`] for a cast vote, and `()` for a withdrawn
/// one.
pub(super) type PendingVote<D> = (Caller, PostId, D);

pub(super) struct CastVotes(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for CastVotes {
    type Request = PendingVote<Direction>;
    type Answer = VoteOutcome;

    async fn run(
        &self,
        requests: &[&PendingVote<Direction>],
    ) -> std::result::Result<Vec<Result<VoteOutcome>>, BatchError> {
        let directions: Vec<i16> = requests.iter().map(|(.., dir)| value(*dir)).collect();
        let results = change(&self.0, &CAST_VOTES, requests, Some(&directions)).await?;
        let mut current = BTreeMap::new();
        for (vote, result) in requests.iter().zip(&results) {
            if result.is_allowed() {
                current.insert(key(vote), result.direction_before(vote.2));
            }
        }
        let cast = |(vote, result): (&&PendingVote<Direction>, &VoteResult)| {
            cast(&mut current, result, vote)
        };
        Ok(requests.iter().zip(&results).map(cast).collect())
    }

    fn lock_keys(vote: &PendingVote<Direction>) -> Vec<LockKey> {
        vec![LockKey::Post(vote.1), LockKey::User(vote.0.user_id)]
    }

    async fn find_blocking_keys(
        &self,
        requests: &[&PendingVote<Direction>],
    ) -> Vec<Option<LockKey>> {
        let votes = requests.iter().map(|vote| key(vote)).collect::<Vec<_>>();
        find_blocking_keys(&self.0, &votes).await
    }
}

/// Returns for each cast vote the row that probably blocks it: its user if that is locked, else its
/// post.
pub(super) async fn find_blocking_keys(pool: &Pool, votes: &[VoteKey]) -> Vec<Option<LockKey>> {
    let users: Vec<i64> = votes.iter().map(|(_, user)| user.0).collect();
    // If the locked users cannot be found, the posts remain.
    let unlocked = find_unlocked_users(pool, &users).await.ok();
    let key = |(post, user): &VoteKey| match &unlocked {
        Some(unlocked) if !unlocked.contains(&user.0) => Some(LockKey::User(*user)),
        _ => Some(LockKey::Post(*post)),
    };
    votes.iter().map(key).collect()
}

async fn find_unlocked_users(pool: &Pool, users: &[i64]) -> Result<BTreeSet<i64>> {
    let rows = pool.query(&FIND_UNLOCKED_USERS, &[&users]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// Returns the outcome as if the votes of a batch had been cast one after the other.
fn cast(
    current: &mut BTreeMap<VoteKey, Option<Direction>>,
    result: &VoteResult,
    vote: &PendingVote<Direction>,
) -> Result<VoteOutcome> {
    let (.., dir) = *vote;
    if let Some(refusal) = result.refusal()? {
        return Ok(refusal);
    }
    let before = current.insert(key(vote), Some(dir)).flatten();
    Ok(match before {
        None => VoteOutcome::Added,
        Some(before) if before == dir => VoteOutcome::AlreadyCast,
        Some(_) => VoteOutcome::Changed,
    })
}

pub(super) struct WithdrawVotes(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for WithdrawVotes {
    type Request = PendingVote<()>;
    type Answer = VoteOutcome;

    async fn run(
        &self,
        requests: &[&PendingVote<()>],
    ) -> std::result::Result<Vec<Result<VoteOutcome>>, BatchError> {
        let results = change(&self.0, &WITHDRAW_VOTES, requests, None).await?;
        let mut withdrawn = BTreeSet::new();
        let answer = |(vote, result): (&&PendingVote<()>, &VoteResult)| {
            if let Some(refusal) = result.refusal()? {
                return Ok(refusal);
            }
            // If a vote is withdrawn several times in a batch, the first withdrawal succeeds.
            let is_first = result.change == Some(true) && withdrawn.insert(key(vote));
            Ok(if is_first { VoteOutcome::Withdrawn } else { VoteOutcome::NotCast })
        };
        Ok(requests.iter().zip(&results).map(answer).collect())
    }

    fn lock_keys(vote: &PendingVote<()>) -> Vec<LockKey> {
        vec![LockKey::Post(vote.1)]
    }
}

pub(super) type VoteKey = (PostId, UserId);

fn key<D>((caller, post, _): &PendingVote<D>) -> VoteKey {
    (*post, caller.user_id)
}

/// The row that the statement returned for a vote.
struct VoteResult {
    has_caller: bool,
    has_post: bool,
    /// For a cast vote: whether it is new, or `None` if it changed nothing. For a withdrawn vote:
    /// whether it existed. All votes of a caller on a post get the same value.
    change: Option<bool>,
}

impl VoteResult {
    fn is_allowed(&self) -> bool {
        self.has_caller && self.has_post
    }

    /// Returns the outcome of a vote whose post the caller does not see, and `None` for other
    /// votes.
    ///
    /// # Errors
    /// [`StoreError::CallerRejected`] if the caller is not accepted.
    fn refusal(&self) -> Result<Option<VoteOutcome>> {
        if !self.has_caller {
            return Err(StoreError::CallerRejected);
        }
        Ok((!self.has_post).then_some(VoteOutcome::NoSuchPost))
    }

    /// Returns the direction of the vote before the statement, which cast `dir`.
    fn direction_before(&self, dir: Direction) -> Option<Direction> {
        match self.change {
            Some(true) => None,
            Some(false) => Some(dir.opposite()),
            None => Some(dir),
        }
    }
}

/// Runs the statement, and returns the result of each vote in the same order.
async fn change<D>(
    pool: &Pool,
    statement: &Statement,
    votes: &[&PendingVote<D>],
    directions: Option<&Vec<i16>>,
) -> std::result::Result<Vec<VoteResult>, BatchError> {
    let posts: Vec<i64> = votes.iter().map(|(_, post, _)| post.0).collect();
    let keys = post_lock_keys(&posts);
    let callers = || votes.iter().map(|(caller, ..)| *caller);
    let users: Vec<i64> = callers().map(|caller| caller.user_id.0).collect();
    let sees_drafts: Vec<bool> =
        callers().map(|caller| caller.draft_visibility == DraftVisibility::Visible).collect();
    let (earliest, latest) = valid_from_params(callers());
    let mut values: Vec<Value<'_>> = vec![&keys, &posts, &users, &sees_drafts, &earliest, &latest];
    if let Some(directions) = directions {
        values.push(directions);
    }
    let rows = pool.query(statement, &values).await?;
    let results = rows.iter().map(|row| {
        let (has_caller, has_post) = (column(row, 1)?, column(row, 2)?);
        Ok(VoteResult { has_caller, has_post, change: column(row, 3)? })
    });
    results.collect::<Result<_>>().map_err(BatchError::Final)
}

pub(super) fn value(direction: Direction) -> i16 {
    match direction {
        Direction::Up => 1,
        Direction::Down => -1,
    }
}
