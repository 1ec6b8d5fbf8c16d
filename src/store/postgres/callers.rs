//! Checks callers in PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::column::{StoredTime, column};
use super::pool::Pool;
use super::statement::{Statement, statements};
use crate::domain::caller::{Caller, Reader};
use crate::domain::user::{TokensValidFrom, UserId};
use crate::store::batch::{Batch, BatchError};
use crate::store::{CallerStore, Result, StoreError};

statements! {
    FIND_TOKENS_VALID_FROM(INT8_ARRAY) =
        "SELECT id::bigint, tokens_valid_from FROM users
          WHERE id = ANY($1) AND disabled_at IS NULL";
}

#[async_trait]
impl CallerStore for PostgresStore {
    async fn find_caller(&self, caller: Caller) -> Result<()> {
        self.callers.submit(caller).await
    }
}

/// The batch that only checks callers.
pub(super) struct FindCallers(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for FindCallers {
    type Request = Caller;
    type Answer = ();

    async fn run(&self, requests: &[&Caller]) -> std::result::Result<Vec<Result<()>>, BatchError> {
        let ids: Vec<i64> = requests.iter().map(|caller| caller.user_id.0).collect();
        let found = find_valid_from_times(&self.0, &ids).await.map_err(BatchError::Final)?;
        Ok(requests.iter().map(|caller| found.check(**caller)).collect())
    }
}

/// Rejects a caller whose account does not exist or does not accept their token.
pub(super) async fn find_caller(pool: &Pool, caller: Caller) -> Result<()> {
    find_valid_from_times(pool, &[caller.user_id.0]).await?.check(caller)
}

pub(super) async fn find_valid_from_times(pool: &Pool, ids: &[i64]) -> Result<ValidFromTimes> {
    ValidFromTimes::read(&pool.query(&FIND_TOKENS_VALID_FROM, &[&ids]).await?)
}

/// The accounts that a statement found, each with its `tokens_valid_from`. A value that cannot be
/// read is an error only for the requests of this account.
#[derive(Default)]
pub(super) struct ValidFromTimes(
    HashMap<UserId, std::result::Result<TokensValidFrom, Arc<StoreError>>>,
);

impl ValidFromTimes {
    pub(super) fn with_capacity(accounts: usize) -> Self {
        Self(HashMap::with_capacity(accounts))
    }

    /// Reads the rows of [`FIND_TOKENS_VALID_FROM`].
    pub(super) fn read(rows: &[Row]) -> Result<Self> {
        let mut times = Self::with_capacity(rows.len());
        for row in rows {
            times.insert(UserId(column(row, 0)?), column(row, 1));
        }
        Ok(times)
    }

    pub(super) fn insert(&mut self, id: UserId, tokens_valid_from: Result<Timestamp>) {
        self.0.insert(id, tokens_valid_from.map(TokensValidFrom).map_err(Arc::new));
    }

    /// Checks a reader who has a token.
    ///
    /// # Errors
    /// Those of [`ValidFromTimes::check`].
    pub(super) fn check_reader(&self, reader: Reader) -> Result<()> {
        reader.caller().map_or(Ok(()), |caller| self.check(caller))
    }

    /// # Errors
    /// [`StoreError::CallerRejected`] if the caller's account was not found or does not accept
    /// their token.
    pub(super) fn check(&self, caller: Caller) -> Result<()> {
        let tokens_valid_from = match self.0.get(&caller.user_id) {
            Some(Ok(time)) => *time,
            Some(Err(error)) => return Err(StoreError::shared(error)),
            None => return Err(StoreError::CallerRejected),
        };
        // The latest time stands for `infinity`, with which an operator revokes every token.
        let is_open = tokens_valid_from.0 < Timestamp::MAX;
        if is_open && caller.valid_from_range.accepts(tokens_valid_from) {
            Ok(())
        } else {
            Err(StoreError::CallerRejected)
        }
    }
}

/// Returns for each caller the earliest and the latest `tokens_valid_from` that their token accepts.
pub(super) fn valid_from_params(
    callers: impl Iterator<Item = Caller>,
) -> (Vec<StoredTime>, Vec<StoredTime>) {
    let ranges = callers.map(|caller| caller.valid_from_range);
    ranges.map(|range| (StoredTime(range.earliest()), StoredTime(range.latest()))).unzip()
}

/// Returns the caller's ID, and the earliest and latest `tokens_valid_from` that their token
/// accepts.
pub(super) fn caller_params(caller: Caller) -> (i64, Timestamp, Timestamp) {
    (caller.user_id.0, caller.valid_from_range.earliest(), caller.valid_from_range.latest())
}
