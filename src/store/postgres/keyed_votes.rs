//! Votes with an idempotency key in PostgreSQL. Cast and withdrawn votes share a statement.

use async_trait::async_trait;
use jiff::Timestamp;

use super::ballots::{checked_ballots, delete_votes, joined_ballots};
use super::callers::valid_from_params;
use super::column::{StoredTime, column};
use super::connection::{QueryError, Value};
use super::distributed::posts_among;
use super::expired_keys::{delete_expired_keys, expired_keys_deleted};
use super::idempotency_keys::{KeyUse, KeyedWrites, Written};
use super::locks::{lock_posts_briefly, post_lock_keys, wait_briefly};
use super::pool::Pool;
use super::row::is_open;
use super::statement::{Statement, statements};
use super::votes::{VoteKey, find_blocking_keys, value};
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::vote::Vote;
use crate::store::batch::LockKey;
use crate::store::idempotency_keys::{Effect, Outcome};
use crate::store::{Result, StoreError, VoteOutcome};

/// No two votes of a statement have the same caller and post. A dir of 0 withdraws the vote. The
/// outcome comes from the change itself, as in `CAST_VOTES`. Two processes keep the same keys in the
/// same order.
macro_rules! cast_votes_once {
    ($ballots:ident) => {
        concat!(
        "WITH locked AS MATERIALIZED (", lock_posts_briefly!("$1"), "
         ), ballots AS MATERIALIZED (
             ", $ballots!(
                "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY
                     AS ballot (post_id, user_id, sees_drafts, least, most, dir, key, fingerprint,
                                cast_at, expires_at, place)"
             ), "
              WHERE (SELECT count(*) FROM locked) > 0
         ), added AS (
             INSERT INTO votes (post_id, user_id, dir)
             SELECT post_id, user_id, dir
               FROM ballots
              WHERE has_caller AND has_post AND dir <> 0
              ORDER BY post_id, user_id
             ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir
                   WHERE excluded.dir <> votes.dir
             RETURNING post_id, user_id, CASE WHEN xmax = 0 THEN 1 ELSE 2 END AS outcome
         ), withdrawn AS (
             ", delete_votes!(" AND ballots.dir = 0"), "
             RETURNING votes.post_id, votes.user_id, 3 AS outcome
         ), changed AS (
             SELECT post_id, user_id, outcome FROM added
              UNION ALL
             SELECT post_id, user_id, outcome FROM withdrawn
         ), kept AS (
             INSERT INTO idempotency_keys
                    (user_id, key, fingerprint, outcome, post_id, at, expires_at)
             SELECT ballots.user_id, key, fingerprint, outcome, ballots.post_id, cast_at, expires_at
               FROM ballots
               JOIN changed
                 ON ballots.post_id = changed.post_id AND ballots.user_id = changed.user_id
              ORDER BY ballots.user_id, key
         ), ", delete_expired_keys!("$12", "$13"), "
         SELECT has_caller, has_post, outcome
           FROM ballots
           LEFT JOIN changed
             ON ballots.post_id = changed.post_id AND ballots.user_id = changed.user_id
          ORDER BY place"
    )
    };
}

statements! {
    CAST_VOTES_ONCE(
        INT4_ARRAY, INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY,
        INT2_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ,
        INT8
    ) = cast_votes_once!(checked_ballots),
        cast_votes_once!(joined_ballots);
}

pub(super) struct CastVotesOnce;

pub(super) struct VoteOnce {
    pub(super) key: KeyUse,
    pub(super) vote: Vote,
}

impl VoteOnce {
    fn vote_key(&self) -> VoteKey {
        (self.vote.post_id, self.key.caller.user_id)
    }
}

#[async_trait]
impl KeyedWrites for CastVotesOnce {
    type Request = VoteOnce;
    type Outcome = VoteOutcome;

    fn key(request: &VoteOnce) -> &KeyUse {
        &request.key
    }

    fn vote(request: &VoteOnce) -> Option<PostId> {
        Some(request.vote.post_id)
    }

    async fn replay(&self, _: &Pool, _: &VoteOnce, effect: &Effect) -> Result<VoteOutcome> {
        Ok(effect.vote())
    }

    async fn write(
        &self,
        pool: &Pool,
        requests: &[&VoteOnce],
    ) -> std::result::Result<Vec<Result<Written<VoteOutcome>>>, QueryError> {
        let posts: Vec<i64> = requests.iter().map(|request| request.vote.post_id.0).collect();
        let locks = post_lock_keys(&posts);
        let keys = || requests.iter().map(|request| &request.key);
        let users: Vec<i64> = keys().map(|key| key.caller.user_id.0).collect();
        let sees_drafts: Vec<bool> =
            keys().map(|key| key.caller.draft_visibility == DraftVisibility::Visible).collect();
        let (earliest, latest) = valid_from_params(keys().map(|key| key.caller));
        let directions: Vec<i16> =
            requests.iter().map(|request| request.vote.direction.map_or(0, value)).collect();
        let digests: Vec<&[u8]> = keys().map(|key| &key.key.digest[..]).collect();
        let fingerprints: Vec<&[u8]> = keys().map(|key| &key.key.fingerprint.0[..]).collect();
        let nows = || keys().map(|key| key.now);
        let times: Vec<_> = nows().map(StoredTime).collect();
        let expiries: Vec<_> = nows().map(IdempotencyKey::expires_at).map(StoredTime).collect();
        let now = nows().min().unwrap_or(Timestamp::MIN);
        let limit = expired_keys_deleted(pool, requests.len());
        let values: [Value<'_>; 13] = [
            &locks,
            &posts,
            &users,
            &sees_drafts,
            &earliest,
            &latest,
            &directions,
            &digests,
            &fingerprints,
            &times,
            &expiries,
            &now,
            &limit,
        ];
        let rows = pool.query(&CAST_VOTES_ONCE, &values).await?;
        let outcome = |(request, row): (&&VoteOnce, _)| outcome(request, row);
        Ok(requests.iter().zip(&rows).map(outcome).collect())
    }

    fn lock_keys(request: &VoteOnce) -> Vec<LockKey> {
        let (post, user) = request.vote_key();
        vec![LockKey::Post(post), LockKey::User(user)]
    }

    async fn find_blocking_keys(
        &self,
        pool: &Pool,
        requests: &[&VoteOnce],
    ) -> Vec<Option<LockKey>> {
        let votes: Vec<VoteKey> = requests.iter().map(|request| request.vote_key()).collect();
        find_blocking_keys(pool, &votes).await
    }
}

fn outcome(request: &VoteOnce, row: &tokio_postgres::Row) -> Result<Written<VoteOutcome>> {
    if !column::<bool>(row, 0)? {
        return Err(StoreError::CallerRejected);
    }
    if !column::<bool>(row, 1)? {
        return Ok(Written::Refused(VoteOutcome::NoSuchPost));
    }
    Ok(match (column::<Option<i32>>(row, 2)?, request.vote.direction) {
        (Some(code), _) => {
            let outcome = Outcome::from_code(i64::from(code))?;
            let post_id = Some(request.vote.post_id);
            Written::Kept(Effect { outcome, post_id, at: request.key.now, kept: None }.vote())
        }
        (None, Some(_)) => Written::Refused(VoteOutcome::AlreadyCast),
        (None, None) => Written::Refused(VoteOutcome::NotCast),
    })
}
