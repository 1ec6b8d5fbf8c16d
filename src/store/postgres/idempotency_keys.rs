//! Writes with an idempotency key in PostgreSQL.
//!
//! One statement looks up the keys of all requests. Another does the writes that are new and keeps
//! their keys. It inserts a key without ON CONFLICT: if another process has kept the key meanwhile,
//! the whole statement is rolled back, and the next look-up finds the key. A refusal can be the
//! effect of the same request at another process, such as "already voted". So the keys of refused
//! requests are looked up again, and found if that is the reason. A statement that itself leaves
//! out the kept keys comes first, because most keys are new, and only the rest is looked up.
//!
//! Not here: the statements of the writes, see `keyed_posts.rs`, `keyed_votes.rs` and
//! `keyed_writes.rs`; the deletion of expired keys, see `expired_keys.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::callers::valid_from_params;
use super::column::column;
use super::connection::{QueryError, Value};
use super::error::is_duplicate;
use super::expired_keys::delete_expired_keys_on_citus;
use super::pool::Pool;
use super::sequence::MAX_ATTEMPTS;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::PostId;
use crate::store::batch::{Batch, BatchError, LockKey};
use crate::store::idempotency_keys::{EarlierUse, Effect, KeptKey};
use crate::store::{Once, Result, StoreError};

statements! {
    FIND_KEYS(INT8_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY, BYTEA_ARRAY) =
        "SELECT users.id IS NOT NULL, kept.fingerprint, kept.outcome::integer, kept.post_id, kept.at,
                kept.expires_at, kept.reply
           FROM unnest($1, $2, $3, $4) WITH ORDINALITY
             AS asked (user_id, least, most, key, place)
           LEFT JOIN users
             ON users.id = asked.user_id
            AND users.tokens_valid_from BETWEEN asked.least AND asked.most
            AND users.disabled_at IS NULL
           LEFT JOIN idempotency_keys AS kept
             ON kept.user_id = asked.user_id AND kept.key = asked.key
          ORDER BY place";
    // Another process may have replaced the row since it was read.
    DELETE_EXPIRED_KEY(INT8, BYTEA, TIMESTAMPTZ) =
        "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND expires_at <= $3";
}

/// A key with its user and the time of the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyUse {
    pub(super) caller: Caller,
    pub(super) key: IdempotencyKey,
    pub(super) now: Timestamp,
}

impl KeyUse {
    fn is_same_key(&self, other: &Self) -> bool {
        self.caller.user_id == other.caller.user_id && self.key.digest == other.key.digest
    }
}

/// Writes of one kind that have keys.
#[async_trait]
pub(super) trait KeyedWrites: Send + Sync + 'static {
    type Request: Send + Sync + 'static;
    type Outcome: Send + 'static;

    /// Whether [`KeyedWrites::write`] leaves out the requests whose keys are kept.
    const LEAVES_OUT_KEPT: bool = false;

    fn key(request: &Self::Request) -> &KeyUse;

    /// Returns the post whose vote the request changes. One statement changes a vote once.
    fn vote(_: &Self::Request) -> Option<PostId> {
        None
    }

    /// Returns the outcome of a write with this effect.
    async fn replay(
        &self,
        pool: &Pool,
        request: &Self::Request,
        effect: &Effect,
    ) -> Result<Self::Outcome>;

    /// Runs the requests in one statement, which keeps the keys of those that it did. Returns their
    /// outcomes in the same order.
    ///
    /// # Errors
    /// The error of the statement, which applied nothing.
    async fn write(
        &self,
        pool: &Pool,
        requests: &[&Self::Request],
    ) -> std::result::Result<Vec<Result<Written<Self::Outcome>>>, QueryError>;

    /// Returns the error of a statement that failed with a duplicate in each attempt.
    async fn explain_duplicate(&self, _: &Pool, error: tokio_postgres::Error) -> StoreError {
        error.into()
    }

    /// As [`Batch::lock_keys`].
    fn lock_keys(_: &Self::Request) -> Vec<LockKey> {
        Vec::new()
    }

    /// As [`Batch::find_blocking_keys`].
    async fn find_blocking_keys(
        &self,
        _: &Pool,
        requests: &[&Self::Request],
    ) -> Vec<Option<LockKey>> {
        requests.iter().map(|request| Self::lock_keys(request).first().copied()).collect()
    }
}

/// The outcome of a request in a statement.
pub(super) enum Written<T> {
    /// The write was done, and its key is kept.
    Kept(T),
    /// Nothing was done.
    Refused(T),
    /// Nothing was done, because the key is kept or the caller is rejected. The look-up says which.
    LeftOut,
}

/// Runs a single request.
pub(super) async fn run_once<W: KeyedWrites>(
    writes: &W,
    pool: &Pool,
    request: &W::Request,
) -> Result<Once<W::Outcome>> {
    let mut answers =
        run_all_once(writes, pool, &[request]).await.map_err(BatchError::into_cause)?;
    answers.pop().unwrap_or_else(|| Err(StoreError::internal("a write returned no outcome")))
}

/// The batch of writes of one kind.
pub(super) struct KeyedBatch<W> {
    pub(super) writes: W,
    pub(super) pool: Arc<Pool>,
}

#[async_trait]
impl<W: KeyedWrites> Batch for KeyedBatch<W> {
    type Request = W::Request;
    type Answer = Once<W::Outcome>;

    async fn run(
        &self,
        requests: &[&W::Request],
    ) -> std::result::Result<Vec<Result<Once<W::Outcome>>>, BatchError> {
        run_all_once(&self.writes, &self.pool, requests).await
    }

    fn lock_keys(request: &W::Request) -> Vec<LockKey> {
        W::lock_keys(request)
    }

    async fn find_blocking_keys(&self, requests: &[&W::Request]) -> Vec<Option<LockKey>> {
        self.writes.find_blocking_keys(&self.pool, requests).await
    }
}

/// A request without an answer, after its place in the batch.
type Open<'a, W> = (usize, &'a <W as KeyedWrites>::Request);

/// Runs the requests that can share a statement together, and then each other one by itself.
async fn run_all_once<W: KeyedWrites>(
    writes: &W,
    pool: &Pool,
    requests: &[&W::Request],
) -> std::result::Result<Vec<Result<Once<W::Outcome>>>, BatchError> {
    let mut run = Run { writes, pool, answers: requests.iter().map(|_| None).collect() };
    let (together, mut apart) = split::<W>(requests);
    apart.extend(run.answer(together).await?);
    // From here on an error is that of its own requests, because others have their answers.
    for open in run.replay_or_fail(apart).await {
        match run.answer(vec![open]).await {
            Ok(left_out) => drop(run.replay_or_fail(left_out).await),
            Err(error) => run.set(open.0, Err(error.into_cause())),
        }
    }
    if let Some(now) = requests.iter().map(|request| W::key(request).now).min() {
        delete_expired_keys_on_citus(pool, now).await;
    }
    let missing = || Err(StoreError::internal("a write returned no outcome"));
    Ok(run.answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect())
}

/// Returns the requests that can share a statement, and those that have the key or the vote of an
/// earlier one.
fn split<'a, W: KeyedWrites>(requests: &[&'a W::Request]) -> (Vec<Open<'a, W>>, Vec<Open<'a, W>>) {
    let (mut together, mut apart): (Vec<Open<'a, W>>, Vec<Open<'a, W>>) = (Vec::new(), Vec::new());
    for (place, request) in requests.iter().copied().enumerate() {
        if together.iter().any(|(_, earlier)| is_exclusive::<W>(earlier, request)) {
            apart.push((place, request));
        } else {
            together.push((place, request));
        }
    }
    (together, apart)
}

fn is_exclusive<W: KeyedWrites>(earlier: &W::Request, request: &W::Request) -> bool {
    let (earlier_key, key) = (W::key(earlier), W::key(request));
    let is_same_vote = || {
        W::vote(request).is_some()
            && W::vote(request) == W::vote(earlier)
            && key.caller.user_id == earlier_key.caller.user_id
    };
    earlier_key.is_same_key(key) || is_same_vote()
}

/// The answers to the requests of a batch, as far as there are some.
struct Run<'a, W: KeyedWrites> {
    writes: &'a W,
    pool: &'a Pool,
    answers: Vec<Option<Result<Once<W::Outcome>>>>,
}

impl<W: KeyedWrites> Run<'_, W> {
    fn set(&mut self, place: usize, answer: Result<Once<W::Outcome>>) {
        if let Some(slot) = self.answers.get_mut(place) {
            *slot = Some(answer);
        }
    }

    /// Replays the requests whose keys are kept, and runs the others in one statement. Returns
    /// those that the statement has left out.
    ///
    /// # Errors
    /// If nothing was applied.
    async fn answer<'r>(
        &mut self,
        mut open: Vec<Open<'r, W>>,
    ) -> std::result::Result<Vec<Open<'r, W>>, BatchError> {
        let mut attempt = 1;
        loop {
            if attempt > 1 || !W::LEAVES_OUT_KEPT {
                open = self.replay(open).await?;
            }
            if open.is_empty() {
                return Ok(open);
            }
            let requests: Vec<&W::Request> = open.iter().map(|(_, request)| *request).collect();
            match self.writes.write(self.pool, &requests).await {
                Err(QueryError::Statement(error)) if is_duplicate(error.code()) => {
                    if attempt == MAX_ATTEMPTS {
                        let error = self.writes.explain_duplicate(self.pool, error).await;
                        return Err(BatchError::RolledBack(error));
                    }
                    attempt += 1;
                }
                outcomes => return Ok(self.settle(open, outcomes?).await),
            }
        }
    }

    /// Answers the requests of a committed statement. Returns those that it has left out.
    async fn settle<'r>(
        &mut self,
        open: Vec<Open<'r, W>>,
        outcomes: Vec<Result<Written<W::Outcome>>>,
    ) -> Vec<Open<'r, W>> {
        let (mut refused, mut left_out) = (Vec::new(), Vec::new());
        for (open, outcome) in open.into_iter().zip(outcomes) {
            let answer = match outcome {
                Ok(Written::Kept(outcome)) => Ok(Once::Done(outcome)),
                Ok(Written::Refused(outcome)) => {
                    refused.push(open);
                    Ok(Once::Done(outcome))
                }
                Ok(Written::LeftOut) => {
                    left_out.push(open);
                    continue;
                }
                Err(error) => Err(error),
            };
            self.set(open.0, answer);
        }
        self.replay_or_fail(refused).await;
        left_out
    }

    /// As [`Run::replay`], but an error is the answer of these requests.
    async fn replay_or_fail<'r>(&mut self, open: Vec<Open<'r, W>>) -> Vec<Open<'r, W>> {
        match self.replay(open.clone()).await {
            Ok(open) => open,
            Err(error) => {
                let error = Arc::new(error.into_cause());
                for (place, _) in open {
                    self.set(place, Err(StoreError::shared(&error)));
                }
                Vec::new()
            }
        }
    }

    /// Answers the requests whose keys are kept or whose callers are rejected. Returns the others.
    async fn replay<'r>(
        &mut self,
        open: Vec<Open<'r, W>>,
    ) -> std::result::Result<Vec<Open<'r, W>>, BatchError> {
        if open.is_empty() {
            return Ok(open);
        }
        let keys: Vec<&KeyUse> = open.iter().map(|(_, request)| W::key(request)).collect();
        let earlier = find_keys(self.pool, &keys).await?;
        let mut unused = Vec::new();
        for ((place, request), earlier) in open.into_iter().zip(earlier) {
            let answer = match earlier {
                Ok(EarlierUse::None) => {
                    unused.push((place, request));
                    continue;
                }
                Ok(EarlierUse::SameRequest(effect)) => {
                    self.writes.replay(self.pool, request, &effect).await.map(Once::Replayed)
                }
                Ok(EarlierUse::OtherRequest) => Ok(Once::KeyReused),
                Err(error) => Err(error),
            };
            self.set(place, answer);
        }
        Ok(unused)
    }
}

/// Returns in the same order what each account has used its key for. Deletes the keys that have
/// expired, so that a write can insert them again.
async fn find_keys(
    pool: &Pool,
    keys: &[&KeyUse],
) -> std::result::Result<Vec<Result<EarlierUse>>, QueryError> {
    let users: Vec<i64> = keys.iter().map(|asked| asked.caller.user_id.0).collect();
    let (earliest, latest) = valid_from_params(keys.iter().map(|asked| asked.caller));
    let digests: Vec<&[u8]> = keys.iter().map(|asked| asked.key.digest.as_slice()).collect();
    let rows = pool.query(&FIND_KEYS, &[&users, &earliest, &latest, &digests]).await?;
    let mut earlier = Vec::with_capacity(rows.len());
    for (asked, row) in keys.iter().zip(&rows) {
        let kept = match column(row, 0) {
            Ok(true) => read_key(row, 1),
            Ok(false) => Err(StoreError::CallerRejected),
            Err(error) => Err(error),
        };
        if let Ok(Some(kept)) = &kept
            && kept.is_expired(asked.now)
        {
            let values: [Value<'_>; 3] =
                [&asked.caller.user_id.0, &asked.key.digest.as_slice(), &asked.now];
            pool.query(&DELETE_EXPIRED_KEY, &values).await?;
        }
        earlier.push(kept.and_then(|kept| match kept {
            Some(kept) => kept.judge(&asked.key, asked.now),
            None => Ok(EarlierUse::None),
        }));
    }
    Ok(earlier)
}

/// Reads a row from column `first` on. Returns `None` if the account has not used the key.
pub(super) fn read_key(row: &Row, first: usize) -> Result<Option<KeptKey>> {
    let Some(outcome) = column::<Option<i32>>(row, first + 1)? else { return Ok(None) };
    let (post_id, at) = (column(row, first + 2)?, column(row, first + 3)?);
    let reply = column::<Option<&[u8]>>(row, first + 5)?;
    Ok(Some(KeptKey {
        fingerprint: column::<&[u8]>(row, first)?.try_into().ok(),
        effect: Effect::from_stored(i64::from(outcome), post_id, at, reply),
        expires_at: column(row, first + 4)?,
    }))
}
