//! Votes in PostgreSQL. The counts are not written here: triggers keep them (`migrations/`).
//!
//! Whatever a statement read of the votes may be of yesterday when it comes to write: another
//! replica, or the reference beside it, votes too. So what it changed is asked of the change
//! itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::session::{Sessions, Value, column};
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::policy::Drafts;
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::domain::vote::{Direction, VoteOutcome};
use crate::store::batch::{Batch, Failure};
use crate::store::{Result, StoreError};

/// Of each ballot: post, caller, whether each is there for the other, and what was changed.
macro_rules! ballots {
    ($ballots:literal, $change:literal, $outcome:literal) => {
        concat!(
            "WITH ballots AS (
                 SELECT ballot.*, users.id IS NOT NULL AS has_caller, posts.id IS NOT NULL AS has_post
                   FROM unnest(", $ballots, "
                   LEFT JOIN users ON users.id = ballot.user_id
                   LEFT JOIN posts
                     ON posts.id = ballot.post_id
                    AND (posts.published OR posts.owner_id = ballot.user_id OR ballot.sees_drafts)
             ), changed AS (", $change, ")
             SELECT ballots.post_id, ballots.user_id, has_caller, has_post, ", $outcome, "
               FROM ballots
               LEFT JOIN changed
                 ON changed.post_id = ballots.post_id AND changed.user_id = ballots.user_id"
        )
    };
}

statements! {
    // In the order of posts and callers, so that two batches never wait for each other. A row that
    // was there before has a locker's or a deleter's transaction in xmax; a new one has none.
    CAST_VOTES(INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, INT2_ARRAY) = ballots!(
        "$1, $2, $3, $4) AS ballot (post_id, user_id, sees_drafts, dir)",
        "INSERT INTO votes (post_id, user_id, dir)
         SELECT post_id, user_id, dir
           FROM ballots
          WHERE has_caller AND has_post
          ORDER BY post_id, user_id
         ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir
          WHERE votes.dir <> excluded.dir
         RETURNING post_id, user_id, xmax = 0 AS is_new",
        "changed.is_new"
    );
    WITHDRAW_VOTES(INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY) = ballots!(
        "$1, $2, $3) AS ballot (post_id, user_id, sees_drafts)",
        "DELETE FROM votes
          USING ballots
          WHERE votes.post_id = ballots.post_id AND votes.user_id = ballots.user_id
            AND has_caller AND has_post
         RETURNING votes.post_id, votes.user_id",
        "changed.post_id IS NOT NULL"
    );
}

/// A caller's vote on a post, or its end.
pub(super) type Ballot<D> = (Caller, PostId, D);

pub(super) struct CastVotes(pub(super) Arc<Sessions>);

#[async_trait]
impl Batch for CastVotes {
    type Request = Ballot<Direction>;
    type Answer = VoteOutcome;

    async fn run(
        &self,
        requests: &[&Ballot<Direction>],
    ) -> std::result::Result<Vec<Result<VoteOutcome>>, Failure> {
        // Of several votes of one caller on one post the last stays.
        let last: BTreeMap<Pair, Ballot<Direction>> =
            requests.iter().map(|ballot| (pair(ballot), **ballot)).collect();
        let directions: Vec<i16> = last.values().map(|(.., dir)| value(*dir)).collect();
        let found = change(&self.0, &CAST_VOTES, last.values(), Some(&directions)).await?;
        let mut before = BTreeMap::new();
        for (pair, (.., dir)) in &last {
            before.insert(*pair, found.get(pair).and_then(|found| found.cast_before(*dir)));
        }
        Ok(requests.iter().map(|ballot| cast(&mut before, &found, ballot)).collect())
    }
}

/// Answers as if the votes of one batch had been cast one after the other.
fn cast(
    before: &mut BTreeMap<Pair, Option<Direction>>,
    found: &BTreeMap<Pair, Found>,
    ballot: &Ballot<Direction>,
) -> Result<VoteOutcome> {
    let (.., dir) = *ballot;
    if let Some(refusal) = refusal(found, ballot)? {
        return Ok(refusal);
    }
    let stands = before.insert(pair(ballot), Some(dir)).flatten();
    Ok(match stands {
        None => VoteOutcome::Added,
        Some(stands) if stands == dir => VoteOutcome::AlreadyCast,
        Some(_) => VoteOutcome::Changed,
    })
}

pub(super) struct WithdrawVotes(pub(super) Arc<Sessions>);

#[async_trait]
impl Batch for WithdrawVotes {
    type Request = Ballot<()>;
    type Answer = VoteOutcome;

    async fn run(
        &self,
        requests: &[&Ballot<()>],
    ) -> std::result::Result<Vec<Result<VoteOutcome>>, Failure> {
        let distinct: BTreeMap<Pair, Ballot<()>> =
            requests.iter().map(|ballot| (pair(ballot), **ballot)).collect();
        let mut found = change(&self.0, &WITHDRAW_VOTES, distinct.values(), None).await?;
        let answer = |ballot: &&Ballot<()>| {
            if let Some(refusal) = refusal(&found, ballot)? {
                return Ok(refusal);
            }
            // Who withdraws it twice at once withdraws it once.
            let change = found.get_mut(&pair(ballot)).and_then(|found| found.change.take());
            Ok(if change == Some(true) { VoteOutcome::Withdrawn } else { VoteOutcome::NotCast })
        };
        Ok(requests.iter().map(answer).collect())
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
    /// Cast: whether the vote is new, if it changed anything. Withdrawn: whether it was there.
    change: Option<bool>,
}

impl Found {
    /// The vote that stood before this direction was cast.
    fn cast_before(&self, dir: Direction) -> Option<Direction> {
        match self.change {
            Some(true) => None,
            Some(false) => Some(dir.opposite()),
            None => Some(dir),
        }
    }
}

/// Why nothing was done for the ballot, if it was not its own vote that said so.
fn refusal<D>(found: &BTreeMap<Pair, Found>, ballot: &Ballot<D>) -> Result<Option<VoteOutcome>> {
    match found.get(&pair(ballot)) {
        None => Err(StoreError::internal("a vote got no answer")),
        Some(found) if !found.has_caller => Err(StoreError::CallerGone),
        Some(found) if !found.has_post => Ok(Some(VoteOutcome::NoSuchPost)),
        Some(_) => Ok(None),
    }
}

async fn change<'a, D: 'a>(
    sessions: &Sessions,
    statement: &Statement,
    ballots: impl Iterator<Item = &'a Ballot<D>>,
    directions: Option<&Vec<i16>>,
) -> std::result::Result<BTreeMap<Pair, Found>, Failure> {
    let (mut posts, mut users, mut sees_drafts) = (Vec::new(), Vec::new(), Vec::new());
    for (caller, post, _) in ballots {
        posts.push(post.0);
        users.push(caller.user_id.0);
        sees_drafts.push(caller.drafts == Drafts::Visible);
    }
    let mut values: Vec<Value<'_>> = vec![&posts, &users, &sees_drafts];
    if let Some(directions) = directions {
        values.push(directions);
    }
    read(&sessions.query(statement, &values).await?).map_err(Failure::Final)
}

fn read(rows: &[Row]) -> Result<BTreeMap<Pair, Found>> {
    rows.iter()
        .map(|row| {
            let pair = (PostId(column(row, 0)?), UserId(column(row, 1)?));
            let (has_caller, has_post) = (column(row, 2)?, column(row, 3)?);
            Ok((pair, Found { has_caller, has_post, change: column(row, 4)? }))
        })
        .collect()
}

fn value(direction: Direction) -> i16 {
    match direction {
        Direction::Up => 1,
        Direction::Down => -1,
    }
}
