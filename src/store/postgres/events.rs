//! Events of accounts in PostgreSQL.

use std::borrow::Cow;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::{caller_params, find_caller};
use super::column::column;
use super::connection::Value;
use super::pool::Pool;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::event::{Event, EventKind, MAX_EVENTS, MOST_REFUSALS};
use crate::domain::user::UserId;
use crate::store::{EventStore, Result};

statements! {
    RECORD_EVENT(INT8, TEXT, BOOL, TIMESTAMPTZ, TEXT) =
        "INSERT INTO events (user_id, kind, is_refusal, at, client)
         SELECT id, $2, $3, $4, $5 FROM users WHERE id = $1";
    DELETE_OLD_EVENTS(INT8, BOOL, INT8) =
        "DELETE FROM events
          WHERE user_id = $1 AND is_refusal = $2
            AND id <= (SELECT id FROM events
                        WHERE user_id = $1 AND is_refusal = $2
                        ORDER BY id DESC LIMIT 1 OFFSET $3)";
    LIST_EVENTS(INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8) =
        "SELECT events.kind, events.at, events.client
           FROM users JOIN events ON events.user_id = users.id
          WHERE users.id = $1 AND users.tokens_valid_from BETWEEN $2 AND $3
            AND users.disabled_at IS NULL
          ORDER BY events.id DESC LIMIT $4";
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn record_event(&self, user: UserId, event: Event) -> Result<()> {
        self.run(async move |pool| record(&pool, user, event).await).await
    }

    async fn list_events(&self, caller: Caller) -> Result<Vec<Event>> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let limit = i64::from(MAX_EVENTS);
            let rows = pool.query(&LIST_EVENTS, &[&id, &earliest, &latest, &limit]).await?;
            let events = rows.iter().map(read_event).collect::<Result<Vec<_>>>()?;
            // Checked last: an account that exists now existed when the list was read.
            find_caller(&pool, caller).await?;
            Ok(events.into_iter().flatten().collect())
        })
        .await
    }
}

pub(super) async fn record(pool: &Pool, user: UserId, event: Event) -> Result<()> {
    let (name, is_refusal) = (event.kind.name(), event.kind.is_refusal());
    let client = event.client.map(|client| client.to_string());
    let values: [Value<'_>; 5] = [&user.0, &name, &is_refusal, &event.at, &client];
    pool.query(&RECORD_EVENT, &values).await?;
    let kept = i64::from(if is_refusal { MOST_REFUSALS } else { MAX_EVENTS });
    pool.query(&DELETE_OLD_EVENTS, &[&user.0, &is_refusal, &kept]).await?;
    Ok(())
}

/// Returns `None` for a kind that only a newer version knows.
pub(super) fn read_event(row: &Row) -> Result<Option<Event>> {
    let at = column(row, 1)?;
    let client = column::<Option<Cow<'_, str>>>(row, 2)?.and_then(|client| client.parse().ok());
    let kind = EventKind::from_name(&column::<Cow<'_, str>>(row, 0)?);
    Ok(kind.map(|kind| Event { kind, at, client }))
}
