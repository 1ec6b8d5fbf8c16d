//! Sessions: sign-ins that last longer than a token. Each has a chain of refresh tokens, of which the
//! last is good, once. Not here: what such a token is made of (`auth`).

use jiff::{SignedDuration, Timestamp};

use super::user::{TokensValidFrom, UserId};

/// The number of a session: positive, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// Sessions of an account that are kept; of more, those that were used last.
pub const MAX_SESSIONS: u32 = 100;

/// How long a spent token still brings the one that took its place: a second tab, or an answer that was
/// lost on its way. After that it is taken for stolen.
pub const REUSE_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

/// SHA-256 of a part of a refresh token.
pub type TokenHash = [u8; 32];

/// What a token is made of besides its predecessor.
pub type Salt = [u8; 16];

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    /// What the client called itself when it signed in.
    pub user_agent: String,
    pub created_at: Timestamp,
    /// When it was begun or last gone on with.
    pub used_at: Timestamp,
    /// When it ends unless it is used before.
    pub expires_at: Timestamp,
}

/// A session that is about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub user_id: UserId,
    /// The mark of the account when its password was checked: the session ends when it moves.
    pub tokens_valid_from: TokensValidFrom,
    pub family: TokenHash,
    pub link: TokenHash,
    pub user_agent: String,
    pub now: Timestamp,
    pub expires_at: Timestamp,
    /// When it ends however much it is used.
    pub ends_at: Timestamp,
}

/// The wish to go on with a session: a token for its successor.
#[derive(Debug, Clone)]
pub struct Rotation {
    pub id: SessionId,
    pub family: TokenHash,
    pub presented: TokenHash,
    pub next: TokenHash,
    pub salt: Salt,
    pub now: Timestamp,
    /// When the token was first presented, if that was not answered: [`REUSE_INTERVAL`] is reckoned from then.
    pub first_attempt_at: Timestamp,
    pub expires_at: Timestamp,
}
