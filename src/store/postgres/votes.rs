//! Votes in PostgreSQL. The counts are not written here: triggers keep them (`migrations/`).
//!
//! Whatever a statement read of the votes may be of yesterday when it comes to write: another
//! replica, or the reference beside it, votes too. So what it changed is asked of the change
//! itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::PostgresStore;
use super::connection::Value;
use super::pool::Pool;
use super::row::column;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::domain::vote::{Direction, Vote};
use crate::store::batch::{Batch, BatchError};
use crate::store::{Result, StoreError, VoteOutcome, VoteStore};

/// Of each ballot: its place, whether caller and post are there for each other, and what was changed.
macro_rules! ballots {
    ($ballots:literal, $change:literal, $outcome:literal) => {
        concat!(
            "WITH ballots AS (
                 SELECT ballot.*, users.id IS NOT NULL AS has_caller, posts.id IS NOT NULL AS has_post
                   FROM unnest(", $ballots, "
                   LEFT JOIN users
                     ON users.id = ballot.user_id
                    AND users.tokens_valid_from BETWEEN ballot.least AND ballot.most
                   LEFT JOIN posts
                     ON posts.id = ballot.post_id
                    AND (posts.published OR posts.owner_id = ballot.user_id OR ballot.sees_drafts)
             ), changed AS (", $change, ")
             SELECT place, has_caller, has_post, ", $outcome, "
               FROM ballots
               LEFT JOIN changed
                 ON changed.post_id = ballots.post_id AND changed.user_id = ballots.user_id
              ORDER BY place"
        )
    };
}

statements! {
    // In the order of posts and callers, so that two batches never wait for each other. A row that
    // was there before has a locker's or a deleter's transaction in xmax; a new one has none. Of several
    // votes of one caller on one post the last stays that came with a token which is accepted.
    CAST_VOTES(
        INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY, INT2_ARRAY
    ) = ballots!(
        "$1, $2, $3, $4, $5, $6) WITH ORDINALITY
                     AS ballot (post_id, user_id, sees_drafts, least, most, dir, place)",
        "INSERT INTO votes (post_id, user_id, dir)
         SELECT DISTINCT ON (post_id, user_id) post_id, user_id, dir
           FROM ballots
          WHERE has_caller AND has_post
          ORDER BY post_id, user_id, place DESC
         ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir
          WHERE votes.dir <> excluded.dir
         RETURNING post_id, user_id, xmax = 0 AS is_new",
        "changed.is_new"
    );
    WITHDRAW_VOTES(
        INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY
    ) = ballots!(
        "$1, $2, $3, $4, $5) WITH ORDINALITY
                     AS ballot (post_id, user_id, sees_drafts, least, most, place)",
        "DELETE FROM votes
          USING ballots
          WHERE votes.post_id = ballots.post_id AND votes.user_id = ballots.user_id
            AND has_caller AND has_post
         RETURNING votes.post_id, votes.user_id",
        "changed.post_id IS NOT NULL"
    );
}

#[async_trait]
impl VoteStore for PostgresStore {
    async fn cast_vote(&self, caller: Caller, vote: Vote) -> Result<VoteOutcome> {
        match vote.direction {
            Some(direction) => self.votes.submit((caller, vote.post_id, direction)).await,
            None => self.withdrawals.submit((caller, vote.post_id, ())).await,
        }
    }
}

/// A caller's vote on a post, or its end.
pub(super) type Ballot<D> = (Caller, PostId, D);

pub(super) struct CastVotes(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for CastVotes {
    type Request = Ballot<Direction>;
    type Answer = VoteOutcome;

    async fn run(
        &self,
        requests: &[&Ballot<Direction>],
    ) -> std::result::Result<Vec<Result<VoteOutcome>>, BatchError> {
        let directions: Vec<i16> = requests.iter().map(|(.., dir)| value(*dir)).collect();
        let found = change(&self.0, &CAST_VOTES, requests, Some(&directions)).await?;
        let mut stands = BTreeMap::new();
        for (ballot, found) in requests.iter().zip(&found) {
            if found.is_carried_out() {
                stands.insert(pair(ballot), found.cast_before(ballot.2));
            }
        }
        let cast =
            |(ballot, found): (&&Ballot<Direction>, &Found)| cast(&mut stands, found, ballot);
        Ok(requests.iter().zip(&found).map(cast).collect())
    }
}

/// Answers as if the votes of one batch had been cast one after the other.
fn cast(
    stands: &mut BTreeMap<Pair, Option<Direction>>,
    found: &Found,
    ballot: &Ballot<Direction>,
) -> Result<VoteOutcome> {
    let (.., dir) = *ballot;
    if let Some(refusal) = found.refusal()? {
        return Ok(refusal);
    }
    let stands = stands.insert(pair(ballot), Some(dir)).flatten();
    Ok(match stands {
        None => VoteOutcome::Added,
        Some(stands) if stands == dir => VoteOutcome::AlreadyCast,
        Some(_) => VoteOutcome::Changed,
    })
}

pub(super) struct WithdrawVotes(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for WithdrawVotes {
    type Request = Ballot<()>;
    type Answer = VoteOutcome;

    async fn run(
        &self,
        requests: &[&Ballot<()>],
    ) -> std::result::Result<Vec<Result<VoteOutcome>>, BatchError> {
        let found = change(&self.0, &WITHDRAW_VOTES, requests, None).await?;
        let mut withdrawn = BTreeSet::new();
        let answer = |(ballot, found): (&&Ballot<()>, &Found)| {
            if let Some(refusal) = found.refusal()? {
                return Ok(refusal);
            }
            // Who withdraws it twice at once withdraws it once.
            let is_first = found.change == Some(true) && withdrawn.insert(pair(ballot));
            Ok(if is_first { VoteOutcome::Withdrawn } else { VoteOutcome::NotCast })
        };
        Ok(requests.iter().zip(&found).map(answer).collect())
    }
}

type Pair = (PostId, UserId);

fn pair<D>((caller, post, _): &Ballot<D>) -> Pair {
    (*post, caller.user_id)
}

/// What became of a ballot in the statement.
struct Found {
    has_caller: bool,
    has_post: bool,
    /// Cast: whether the vote is new, if it changed anything. Withdrawn: whether it was there. The same
    /// for all ballots of a caller on a post.
    change: Option<bool>,
}

impl Found {
    fn is_carried_out(&self) -> bool {
        self.has_caller && self.has_post
    }

    /// Why nothing was done for the ballot, if it was not its own vote that said so.
    fn refusal(&self) -> Result<Option<VoteOutcome>> {
        if !self.has_caller {
            return Err(StoreError::CallerRejected);
        }
        Ok((!self.has_post).then_some(VoteOutcome::NoSuchPost))
    }

    /// The vote that stood before this direction was cast.
    fn cast_before(&self, dir: Direction) -> Option<Direction> {
        match self.change {
            Some(true) => None,
            Some(false) => Some(dir.opposite()),
            None => Some(dir),
        }
    }
}

/// What became of each ballot, in their order.
async fn change<D>(
    pool: &Pool,
    statement: &Statement,
    ballots: &[&Ballot<D>],
    directions: Option<&Vec<i16>>,
) -> std::result::Result<Vec<Found>, BatchError> {
    let posts: Vec<i64> = ballots.iter().map(|(_, post, _)| post.0).collect();
    let callers = || ballots.iter().map(|(caller, ..)| caller);
    let users: Vec<i64> = callers().map(|caller| caller.user_id.0).collect();
    let sees_drafts: Vec<bool> =
        callers().map(|caller| caller.drafts == DraftVisibility::Visible).collect();
    let earliest: Vec<Timestamp> =
        callers().map(|caller| caller.valid_from_range.earliest()).collect();
    let latest: Vec<Timestamp> = callers().map(|caller| caller.valid_from_range.latest()).collect();
    let mut values: Vec<Value<'_>> = vec![&posts, &users, &sees_drafts, &earliest, &latest];
    if let Some(directions) = directions {
        values.push(directions);
    }
    let rows = pool.query(statement, &values).await?;
    let found = rows.iter().map(|row| {
        let (has_caller, has_post) = (column(row, 1)?, column(row, 2)?);
        Ok(Found { has_caller, has_post, change: column(row, 3)? })
    });
    found.collect::<Result<_>>().map_err(BatchError::Final)
}

fn value(direction: Direction) -> i16 {
    match direction {
        Direction::Up => 1,
        Direction::Down => -1,
    }
}
