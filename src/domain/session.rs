//! Sessions: logins that outlast an access token. A session has one current refresh token, and each
//! use rotates it. Not here: the format of a refresh token, see `auth/refresh.rs`.

use jiff::{SignedDuration, Timestamp};

use super::user::{TokensValidFrom, UserId};

/// A session's ID: positive, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// Maximum number of sessions per account. A further one ends the session that was used least
/// recently.
pub const MAX_SESSIONS: u32 = 100;

/// How long a rotated token still returns its successor, for a second tab or a lost response. After
/// that, its reuse ends the session, because the token may be stolen. The interval starts when the
/// store confirms the rotation, before a client can get the successor.
pub const REUSE_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

/// SHA-256 of a part of a refresh token.
pub type TokenHash = [u8; 32];

/// Random input. A successor is derived from this input and the current token.
pub type Salt = [u8; 16];

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    /// The `User-Agent` of the login.
    pub user_agent: String,
    pub created_at: Timestamp,
    /// Time of the login or the last refresh.
    pub used_at: Timestamp,
    /// When the session ends if it stays idle.
    pub expires_at: Timestamp,
}

/// A session to be created.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub user_id: UserId,
    /// The account's value when its password was verified. The session ends if the account's value
    /// changes.
    pub tokens_valid_from: TokensValidFrom,
    pub family_hash: TokenHash,
    /// Hash of the secret of the first refresh token.
    pub secret_hash: TokenHash,
    pub user_agent: String,
    pub now: Timestamp,
    /// When the idle timeout ends the session.
    pub expires_at: Timestamp,
    /// When the absolute timeout ends the session.
    pub ends_at: Timestamp,
}

/// A request to rotate a session's refresh token.
#[derive(Debug, Clone)]
pub struct Rotation {
    pub id: SessionId,
    pub family_hash: TokenHash,
    pub presented_hash: TokenHash,
    pub next_hash: TokenHash,
    pub salt: Salt,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}
