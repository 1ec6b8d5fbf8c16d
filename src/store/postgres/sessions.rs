//! Sessions of accounts in PostgreSQL. Not here: database connections, see `connection.rs`.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::PostgresStore;
use super::callers::{caller_params, find_caller};
use super::column::column;
use super::connection::{QueryError, Value};
use super::pool::Pool;
use super::statement::{Statement, statements};
use crate::domain::caller::Caller;
use crate::domain::session::{
    MAX_SESSIONS, NewSession, REUSE_INTERVAL, Rotation, Session, SessionId,
};
use crate::domain::user::{TokensValidFrom, UserId};
use crate::store::{Result, RotateSession, SessionStore, StoreError};

statements! {
    CREATE_SESSION(
        INT8, TIMESTAMPTZ, BYTEA, BYTEA, TEXT, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ
    ) =
        "INSERT INTO sessions (user_id, tokens_valid_from, family_hash, link_hash, user_agent,
                created_at, used_at, expires_at, ends_at)
         SELECT id, tokens_valid_from, $3, $4, $5, $6, $6, $7, $8
           FROM users
          WHERE id = $1 AND tokens_valid_from = $2 AND disabled_at IS NULL
         RETURNING id::bigint";
    DELETE_OLD_SESSIONS(INT8, TIMESTAMPTZ, INT8) =
        "DELETE FROM sessions
          WHERE user_id = $1
            AND (expires_at <= $2
                 OR tokens_valid_from <> (SELECT tokens_valid_from FROM users WHERE id = $1)
                 OR used_at < (SELECT used_at FROM sessions
                                WHERE user_id = $1
                                ORDER BY used_at DESC LIMIT 1 OFFSET $3))";
    // If two rotations are concurrent, the second one matches no row here. FIND_SESSION then reads
    // the result of the first one.
    ROTATE_SESSION(INT8, BYTEA, BYTEA, BYTEA, BYTEA, TIMESTAMPTZ, TIMESTAMPTZ) =
        "UPDATE sessions
            SET previous_hash = link_hash, link_hash = $4, unconfirmed_hash = $4, salt = $5,
                used_at = $6, expires_at = least($7, ends_at)
           FROM users
          WHERE sessions.id = $1 AND family_hash = $2 AND link_hash = $3 AND expires_at > $6
            AND users.id = sessions.user_id
            AND users.tokens_valid_from = sessions.tokens_valid_from AND users.disabled_at IS NULL
         RETURNING users.id::bigint, users.tokens_valid_from";
    FIND_SESSION(INT8, BYTEA, BYTEA, TIMESTAMPTZ, TIMESTAMPTZ) =
        "SELECT sessions.user_id, sessions.tokens_valid_from,
                coalesce(previous_hash = $3, FALSE)
                AND (used_at > $4 OR coalesce(unconfirmed_hash = link_hash, FALSE)), salt,
                expires_at > $5 AND users.tokens_valid_from = sessions.tokens_valid_from
                AND users.disabled_at IS NULL
           FROM sessions JOIN users ON users.id = sessions.user_id
          WHERE sessions.id = $1 AND family_hash = $2";
    CONFIRM_ROTATION(INT8, BYTEA, BYTEA, TIMESTAMPTZ) =
        "UPDATE sessions
            SET unconfirmed_hash = NULL, used_at = $4
          WHERE id = $1 AND family_hash = $2 AND previous_hash = $3
            AND unconfirmed_hash = link_hash";
    DELETE_SESSION(INT8, BYTEA) = "DELETE FROM sessions WHERE id = $1 AND family_hash = $2";
    LIST_SESSIONS(INT8, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ) =
        "SELECT sessions.id, sessions.user_agent, sessions.created_at, sessions.used_at,
                sessions.expires_at
           FROM users
           JOIN sessions
             ON sessions.user_id = users.id
            AND sessions.tokens_valid_from = users.tokens_valid_from
            AND sessions.expires_at > $4
          WHERE users.id = $1 AND users.tokens_valid_from BETWEEN $2 AND $3
            AND users.disabled_at IS NULL
          ORDER BY sessions.used_at DESC";
    END_SESSION(INT8, TIMESTAMPTZ, TIMESTAMPTZ, INT8) =
        "DELETE FROM sessions
          USING users
          WHERE sessions.id = $4 AND sessions.user_id = $1
            AND users.id = $1 AND users.tokens_valid_from BETWEEN $2 AND $3
            AND users.disabled_at IS NULL
         RETURNING sessions.id";
    END_SESSIONS(INT8, TIMESTAMPTZ, TIMESTAMPTZ) =
        "DELETE FROM sessions
          USING users
          WHERE sessions.user_id = $1
            AND users.id = $1 AND users.tokens_valid_from BETWEEN $2 AND $3
            AND users.disabled_at IS NULL
         RETURNING sessions.id";
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn create_session(&self, session: NewSession) -> Result<Option<SessionId>> {
        self.run(async move |pool| {
            let user_id = session.user_id.0;
            let rows = match insert_session(&pool, &session, &session.user_agent).await {
                // A user agent is no reason to refuse a login.
                Err(QueryError::Unrepresentable(_)) => {
                    let user_agent = session.user_agent.replace(|c: char| !c.is_ascii(), "?");
                    insert_session(&pool, &session, &user_agent).await?
                }
                inserted => inserted?,
            };
            let Some(row) = rows.first() else { return Ok(None) };
            let id = SessionId(column(row, 0)?);
            let last_kept = i64::from(MAX_SESSIONS) - 1;
            pool.query(&DELETE_OLD_SESSIONS, &[&user_id, &session.now, &last_kept]).await?;
            Ok(Some(id))
        })
        .await
    }

    async fn rotate_session(&self, rotation: Rotation) -> Result<RotateSession> {
        let (id, family, presented) =
            (rotation.id.0, rotation.family_hash, rotation.presented_hash);
        let now = rotation.now;
        let rotated = self
            .run(async move |pool| match try_to_rotate(&pool, &rotation).await? {
                Some(rotated) => Ok(rotated),
                None => explain_no_rotation(&pool, &rotation).await,
            })
            .await?;
        if matches!(rotated, RotateSession::Rotated(..) | RotateSession::Repeated(..)) {
            // Not in the task of the rotation: that task also completes if its client gets an error.
            self.run(async move |pool| {
                let values: [Value<'_>; 4] = [&id, &&family[..], &&presented[..], &now];
                pool.query(&CONFIRM_ROTATION, &values).await?;
                Ok(())
            })
            .await?;
        }
        Ok(rotated)
    }

    async fn list_sessions(&self, caller: Caller, now: Timestamp) -> Result<Vec<Session>> {
        self.run(async move |pool| {
            let (id, earliest, latest) = caller_params(caller);
            let rows = pool.query(&LIST_SESSIONS, &[&id, &earliest, &latest, &now]).await?;
            let sessions = rows.iter().map(read_session).collect::<Result<_>>()?;
            // Checked last: an account that exists now existed when the list was read.
            find_caller(&pool, caller).await?;
            Ok(sessions)
        })
        .await
    }

    async fn end_sessions(&self, caller: Caller, id: Option<SessionId>) -> Result<bool> {
        self.run(async move |pool| {
            let (user_id, earliest, latest) = caller_params(caller);
            let ended = match id {
                Some(id) => {
                    let values: [Value<'_>; 4] = [&user_id, &earliest, &latest, &id.0];
                    pool.query(&END_SESSION, &values).await?
                }
                None => pool.query(&END_SESSIONS, &[&user_id, &earliest, &latest]).await?,
            };
            if ended.is_empty() {
                find_caller(&pool, caller).await?;
            }
            Ok(!ended.is_empty())
        })
        .await
    }
}

async fn insert_session(
    pool: &Pool,
    session: &NewSession,
    user_agent: &str,
) -> std::result::Result<Vec<Row>, QueryError> {
    let values: [Value<'_>; 8] = [
        &session.user_id.0,
        &session.tokens_valid_from.0,
        &&session.family_hash[..],
        &&session.secret_hash[..],
        &user_agent,
        &session.now,
        &session.expires_at,
        &session.ends_at,
    ];
    pool.query(&CREATE_SESSION, &values).await
}

async fn try_to_rotate(pool: &Pool, rotation: &Rotation) -> Result<Option<RotateSession>> {
    let values: [Value<'_>; 7] = [
        &rotation.id.0,
        &&rotation.family_hash[..],
        &&rotation.presented_hash[..],
        &&rotation.next_hash[..],
        &&rotation.salt[..],
        &rotation.now,
        &rotation.expires_at,
    ];
    let rows = pool.query(&ROTATE_SESSION, &values).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (user_id, tokens_valid_from) = (UserId(column(row, 0)?), TokensValidFrom(column(row, 1)?));
    Ok(Some(RotateSession::Rotated(user_id, tokens_valid_from)))
}

async fn explain_no_rotation(pool: &Pool, rotation: &Rotation) -> Result<RotateSession> {
    let reusable_since = rotation.now.saturating_sub(REUSE_INTERVAL).unwrap_or(Timestamp::MIN);
    let (family, presented) = (&rotation.family_hash[..], &rotation.presented_hash[..]);
    let values: [Value<'_>; 5] =
        [&rotation.id.0, &family, &presented, &reusable_since, &rotation.now];
    let rows = pool.query(&FIND_SESSION, &values).await?;
    let Some(row) = rows.first() else { return Ok(RotateSession::NoSuchSession) };
    if !column::<bool>(row, 4)? {
        return Ok(RotateSession::NoSuchSession);
    }
    let (user_id, tokens_valid_from) = (UserId(column(row, 0)?), TokensValidFrom(column(row, 1)?));
    if column(row, 2)? {
        let salt = column::<&[u8]>(row, 3)?.try_into().map_err(StoreError::internal)?;
        return Ok(RotateSession::Repeated(user_id, tokens_valid_from, salt));
    }
    pool.query(&DELETE_SESSION, &[&rotation.id.0, &family]).await?;
    Ok(RotateSession::Reused(user_id))
}

fn read_session(row: &Row) -> Result<Session> {
    Ok(Session {
        id: SessionId(column(row, 0)?),
        user_agent: column(row, 1)?,
        created_at: column(row, 2)?,
        used_at: column(row, 3)?,
        expires_at: column(row, 4)?,
    })
}
