//! Sessions in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::callers::{caller_params, find_caller};
use super::row::{text, timestamp};
use super::statement::statements;
use crate::domain::caller::Caller;
use crate::domain::session::{
    MAX_SESSIONS, NewSession, REUSE_INTERVAL, Rotation, Salt, Session, SessionId,
};
use crate::domain::user::{TokensValidFrom, UserId};
use crate::store::{Result, RotateSession, SessionStore};

statements! {
    CREATE_SESSION = "INSERT INTO sessions (user_id, tokens_valid_from, family_hash, link_hash,
                user_agent, created_at, used_at, expires_at, ends_at)
         SELECT id, tokens_valid_from, ?3, ?4, ?5, ?6, ?6, ?7, ?8
           FROM users
          WHERE id = ?1 AND tokens_valid_from = ?2 AND disabled_at IS NULL";
    DELETE_OLD_SESSIONS = "DELETE FROM sessions
          WHERE user_id = ?1
            AND (expires_at <= ?2
                 OR tokens_valid_from <> (SELECT tokens_valid_from FROM users WHERE id = ?1)
                 OR used_at < (SELECT used_at FROM sessions
                                WHERE user_id = ?1
                                ORDER BY used_at DESC LIMIT 1 OFFSET ?3))";
    // Returns the session only if the presented token belongs to its token family.
    FIND_SESSION = "SELECT sessions.user_id, sessions.tokens_valid_from, sessions.link_hash = ?3,
                coalesce(sessions.previous_hash = ?3, FALSE)
                AND (sessions.used_at > ?4
                     OR coalesce(sessions.unconfirmed_hash = sessions.link_hash, FALSE)),
                sessions.salt,
                sessions.expires_at > ?5 AND users.tokens_valid_from = sessions.tokens_valid_from
                AND users.disabled_at IS NULL
           FROM sessions JOIN users ON users.id = sessions.user_id
          WHERE sessions.id = ?1 AND sessions.family_hash = ?2";
    ROTATE_SESSION = "UPDATE sessions
            SET previous_hash = link_hash, link_hash = ?2, unconfirmed_hash = ?2, salt = ?3,
                used_at = ?4, expires_at = min(?5, ends_at)
          WHERE id = ?1";
    CONFIRM_ROTATION = "UPDATE sessions
            SET unconfirmed_hash = NULL, used_at = ?4
          WHERE id = ?1 AND family_hash = ?2 AND previous_hash = ?3
            AND unconfirmed_hash = link_hash";
    DELETE_SESSION = "DELETE FROM sessions WHERE id = ?1";
    LIST_SESSIONS = "SELECT sessions.id, sessions.user_agent, sessions.created_at, sessions.used_at,
                sessions.expires_at
           FROM users
           JOIN sessions
             ON sessions.user_id = users.id
            AND sessions.tokens_valid_from = users.tokens_valid_from
            AND sessions.expires_at > ?4
          WHERE users.id = ?1 AND users.tokens_valid_from BETWEEN ?2 AND ?3
            AND users.disabled_at IS NULL
          ORDER BY sessions.used_at DESC";
    END_SESSION = "DELETE FROM sessions WHERE id = ?2 AND user_id = ?1";
    END_SESSIONS = "DELETE FROM sessions WHERE user_id = ?1";
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(&self, session: NewSession) -> Result<Option<SessionId>> {
        self.writer
            .run(move |database| {
                let user_id = session.user_id.0;
                let now = session.now.as_microsecond();
                let created = database.prepare_cached(CREATE_SESSION)?.execute(params![
                    user_id,
                    session.tokens_valid_from.0.as_microsecond(),
                    session.family_hash,
                    session.secret_hash,
                    session.user_agent,
                    now,
                    session.expires_at.as_microsecond(),
                    session.ends_at.as_microsecond(),
                ])?;
                if created == 0 {
                    return Ok(None);
                }
                let id = SessionId(database.last_insert_rowid());
                let last_kept = i64::from(MAX_SESSIONS) - 1;
                database.prepare_cached(DELETE_OLD_SESSIONS)?.execute([user_id, now, last_kept])?;
                Ok(Some(id))
            })
            .await
    }

    async fn rotate_session(&self, rotation: Rotation) -> Result<RotateSession> {
        let (id, family, presented) =
            (rotation.id.0, rotation.family_hash, rotation.presented_hash);
        let now = rotation.now.as_microsecond();
        let rotated = self
            .writer
            .run(move |database| {
                let found = find_session(database, &rotation)?;
                let Some(found) = found.filter(|found| found.is_live) else {
                    return Ok(RotateSession::NoSuchSession);
                };
                let (user_id, tokens_valid_from) = (found.user_id, found.tokens_valid_from);
                if found.is_current {
                    database.prepare_cached(ROTATE_SESSION)?.execute(params![
                        rotation.id.0,
                        rotation.next_hash,
                        rotation.salt,
                        rotation.now.as_microsecond(),
                        rotation.expires_at.as_microsecond(),
                    ])?;
                    return Ok(RotateSession::Rotated(user_id, tokens_valid_from));
                }
                if let Some(salt) = found.salt.filter(|_| found.is_retry) {
                    return Ok(RotateSession::Repeated(user_id, tokens_valid_from, salt));
                }
                database.prepare_cached(DELETE_SESSION)?.execute([rotation.id.0])?;
                Ok(RotateSession::Reused(user_id))
            })
            .await?;
        if matches!(rotated, RotateSession::Rotated(..) | RotateSession::Repeated(..)) {
            self.writer
                .run(move |database| {
                    let params = params![id, family, presented, now];
                    database.prepare_cached(CONFIRM_ROTATION)?.execute(params)?;
                    Ok(())
                })
                .await?;
        }
        Ok(rotated)
    }

    async fn list_sessions(&self, caller: Caller, now: Timestamp) -> Result<Vec<Session>> {
        self.readers
            .run(move |database| {
                let [id, earliest, latest] = caller_params(caller);
                let params = [id, earliest, latest, now.as_microsecond()];
                let mut statement = database.prepare_cached(LIST_SESSIONS)?;
                let sessions = statement.query_map(params, read_session)?;
                let sessions = sessions.collect::<rusqlite::Result<_>>()?;
                // Checked last: an account that exists now existed when the list was read.
                find_caller(database, caller)?;
                Ok(sessions)
            })
            .await
    }

    async fn end_sessions(&self, caller: Caller, id: Option<SessionId>) -> Result<bool> {
        self.writer
            .run(move |database| {
                find_caller(database, caller)?;
                let user_id = caller.user_id.0;
                let ended = match id {
                    Some(id) => database.prepare_cached(END_SESSION)?.execute([user_id, id.0])?,
                    None => database.prepare_cached(END_SESSIONS)?.execute([user_id])?,
                };
                Ok(ended > 0)
            })
            .await
    }
}

/// The session of the presented token, before its rotation.
struct FoundSession {
    user_id: UserId,
    tokens_valid_from: TokensValidFrom,
    /// Whether the presented token is the current one.
    is_current: bool,
    /// Whether the rotation of the presented token was confirmed within [`REUSE_INTERVAL`], or not
    /// at all.
    is_retry: bool,
    salt: Option<Salt>,
    /// Whether the session has not ended.
    is_live: bool,
}

fn find_session(
    database: &Connection,
    rotation: &Rotation,
) -> rusqlite::Result<Option<FoundSession>> {
    let reusable_since = rotation.now.saturating_sub(REUSE_INTERVAL).unwrap_or(Timestamp::MIN);
    let params = params![
        rotation.id.0,
        rotation.family_hash,
        rotation.presented_hash,
        reusable_since.as_microsecond(),
        rotation.now.as_microsecond(),
    ];
    database.prepare_cached(FIND_SESSION)?.query_row(params, read_found_session).optional()
}

fn read_found_session(row: &Row<'_>) -> rusqlite::Result<FoundSession> {
    Ok(FoundSession {
        user_id: UserId(row.get(0)?),
        tokens_valid_from: TokensValidFrom(timestamp(row, 1)?),
        is_current: row.get(2)?,
        is_retry: row.get(3)?,
        salt: row.get(4)?,
        is_live: row.get(5)?,
    })
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId(row.get(0)?),
        user_agent: text(row, 1)?.into_owned(),
        created_at: timestamp(row, 2)?,
        used_at: timestamp(row, 3)?,
        expires_at: timestamp(row, 4)?,
    })
}
