//! Events of accounts in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::callers::{caller_params, find_caller};
use super::row::{text, timestamp};
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::event::{Event, EventKind, MAX_EVENTS, MOST_REFUSALS};
use crate::domain::user::UserId;
use crate::store::stored_text::readable_text;
use crate::store::{EventStore, Result};

statements! {
    RECORD_EVENT = "INSERT INTO events (user_id, kind, is_refusal, at, client)
         SELECT id, ?2, ?3, ?4, ?5 FROM users WHERE id = ?1";
    DELETE_OLD_EVENTS = "DELETE FROM events
          WHERE user_id = ?1 AND is_refusal = ?2
            AND id <= (SELECT id FROM events
                        WHERE user_id = ?1 AND is_refusal = ?2
                        ORDER BY id DESC LIMIT 1 OFFSET ?3)";
    LIST_EVENTS = "SELECT events.kind, events.at, events.client
           FROM users JOIN events ON events.user_id = users.id
          WHERE users.id = ?1 AND users.tokens_valid_from BETWEEN ?2 AND ?3
            AND users.disabled_at IS NULL
          ORDER BY events.id DESC LIMIT ?4";
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn record_event(&self, user: UserId, event: Event) -> Result<()> {
        self.writer.run(move |database| record_event(database, user, event)).await
    }

    async fn list_events(&self, caller: Caller) -> Result<Vec<Event>> {
        self.readers
            .run(move |database| {
                let [id, earliest, latest] = caller_params(caller);
                let params = [id, earliest, latest, i64::from(MAX_EVENTS)];
                let mut statement = database.prepare_cached(LIST_EVENTS)?;
                let rows = statement.query_map(params, read_event)?;
                let events = rows.collect::<rusqlite::Result<Vec<_>>>()?;
                // Checked last: an account that exists now existed when the list was read.
                find_caller(database, caller)?;
                Ok(events.into_iter().flatten().collect())
            })
            .await
    }
}

pub(super) fn record_event(database: &Connection, user: UserId, event: Event) -> Result<()> {
    let is_refusal = event.kind.is_refusal();
    database.prepare_cached(RECORD_EVENT)?.execute(params![
        user.0,
        event.kind.name(),
        is_refusal,
        event.at.as_microsecond(),
        event.client.map(|client| client.to_string()),
    ])?;
    let kept = if is_refusal { MOST_REFUSALS } else { MAX_EVENTS };
    database.prepare_cached(DELETE_OLD_EVENTS)?.execute(params![user.0, is_refusal, kept])?;
    Ok(())
}

/// Returns `None` for a kind that only a newer version knows.
pub(super) fn read_event(row: &Row<'_>) -> rusqlite::Result<Option<Event>> {
    let at = timestamp(row, 1)?;
    let client = row.get_ref(2)?.as_bytes_or_null()?.map(readable_text);
    let client = client.and_then(|client| client.parse().ok());
    let kind = EventKind::from_name(&text(row, 0)?);
    Ok(kind.map(|kind| Event { kind, at, client }))
}
