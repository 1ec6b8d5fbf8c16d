//! The names of accounts in PostgreSQL. Not here: their change, see `users.rs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::column::column;
use super::error::reading_failed;
use super::pool::Pool;
use super::row::is_open;
use super::statement::{Statement, statements};
use crate::domain::display_name::DisplayName;
use crate::domain::user::UserId;
use crate::store::Result;
use crate::store::batch::{Batch, BatchError};

statements! {
    FIND_NAMES(INT8_ARRAY) = concat!(
        "SELECT id::bigint, name FROM users
          WHERE id = ANY($1) AND name IS NOT NULL AND ", is_open!("id")
    );
}

type Names = HashMap<UserId, DisplayName>;

/// The batch that reads names.
pub(super) struct FindNames(pub(super) Arc<Pool>);

#[async_trait]
impl Batch for FindNames {
    type Request = Vec<UserId>;
    type Answer = Names;

    async fn run(
        &self,
        requests: &[&Vec<UserId>],
    ) -> std::result::Result<Vec<Result<Names>>, BatchError> {
        let names = read_names(&self.0, requests).await.map_err(reading_failed)?;
        let answer = |accounts: &&Vec<UserId>| {
            let known = accounts.iter().filter_map(|id| Some((*id, names.get(id)?.clone())));
            Ok(known.collect())
        };
        Ok(requests.iter().map(answer).collect())
    }
}

async fn read_names(pool: &Pool, requests: &[&Vec<UserId>]) -> Result<Names> {
    let mut ids: Vec<i64> = requests.iter().copied().flatten().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = pool.query(&FIND_NAMES, &[&ids]).await?;
    let names = rows.iter().map(|row| {
        let name = DisplayName::from_stored(&column::<Cow<'_, str>>(row, 1)?);
        Ok((UserId(column(row, 0)?), name))
    });
    names.collect()
}
