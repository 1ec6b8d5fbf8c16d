//! Starts and refreshes sessions: the refresh token grant of OAuth2 (RFC 6749, 6), with rotation and
//! reuse detection (RFC 9700, 4.14).
//!
//! Not here: the list of sessions, see `sessions.rs`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::{ApiError, ApiResult};
use crate::api::state::AppState;
use crate::api::token::Token;
use crate::auth::{RefreshSecrets, generate_salt};
use crate::domain::event::EventKind;
use crate::domain::policy::SessionTimeouts;
use crate::domain::session::{NewSession, Rotation};
use crate::domain::user::Credentials;
use crate::store::RotateSession;

/// Starts a session for an account whose password was verified. Returns `None` if the account has
/// revoked its tokens since.
///
/// # Errors
/// If the service fails.
pub(super) async fn start_session(
    app: &AppState,
    credentials: &Credentials,
    user_agent: String,
) -> ApiResult<Option<Token>> {
    let secrets = RefreshSecrets::generate().map_err(ApiError::internal)?;
    let now = app.clock.now();
    let SessionTimeouts { idle, absolute } = app.policy.sessions;
    let ends_at = later(now, absolute);
    let session = NewSession {
        user_id: credentials.user_id,
        tokens_valid_from: credentials.tokens_valid_from,
        family_hash: secrets.family_hash(),
        secret_hash: secrets.secret_hash(),
        user_agent,
        now,
        expires_at: later(now, idle).min(ends_at),
        ends_at,
    };
    let Some(id) = app.store.create_session(session).await? else { return Ok(None) };
    let access = app.tokens.issue(credentials.user_id, credentials.tokens_valid_from)?;
    Ok(Some(Token::with_refresh_token(access, secrets.token(id), app.tokens.lifetime())))
}

/// Refreshes a session: exchanges its current refresh token for the successor.
///
/// # Errors
/// [`ApiError::InvalidGrant`] if the token is malformed, unknown, expired or reused.
pub(super) async fn refresh_session(
    app: &Arc<AppState>,
    client: ClientIp,
    token: &str,
) -> ApiResult<Token> {
    let Some((id, secrets)) = RefreshSecrets::parse(token) else {
        audit::record_in_log(app, client, None, EventKind::RefreshRefused);
        return Err(ApiError::InvalidGrant);
    };
    let salt = generate_salt().map_err(ApiError::internal)?;
    let now = app.clock.now();
    let next = secrets.successor(salt);
    let rotation = Rotation {
        id,
        family_hash: secrets.family_hash(),
        presented_hash: secrets.secret_hash(),
        next_hash: next.secret_hash(),
        salt,
        now,
        expires_at: later(now, app.policy.sessions.idle),
    };
    let rotated = audit::run_to_completion(app, |app| rotate(app, client, rotation)).await?;
    let (user_id, tokens_valid_from, next) = match rotated {
        RotateSession::Rotated(user_id, tokens_valid_from) => (user_id, tokens_valid_from, next),
        RotateSession::Repeated(user_id, tokens_valid_from, salt) => {
            (user_id, tokens_valid_from, secrets.successor(salt))
        }
        RotateSession::Reused(_) | RotateSession::NoSuchSession => {
            return Err(ApiError::InvalidGrant);
        }
    };
    let access = app.tokens.issue(user_id, tokens_valid_from)?;
    Ok(Token::with_refresh_token(access, next.token(id), app.tokens.lifetime()))
}

async fn rotate(
    app: Arc<AppState>,
    client: ClientIp,
    rotation: Rotation,
) -> ApiResult<RotateSession> {
    let rotated = app.store.rotate_session(rotation).await?;
    match rotated {
        RotateSession::Rotated(user_id, _) | RotateSession::Repeated(user_id, ..) => {
            audit::record_in_log(&app, client, Some(user_id), EventKind::SessionContinued);
        }
        RotateSession::Reused(user_id) => {
            audit::record_refusal(&app, client, Some(user_id), EventKind::RefreshTokenReused);
        }
        RotateSession::NoSuchSession => {
            audit::record_in_log(&app, client, None, EventKind::RefreshRefused);
        }
    }
    Ok(rotated)
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
