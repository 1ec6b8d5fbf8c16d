//! Verifies a password within the login limits, for a login and for changes of the account that
//! require the current password.
//!
//! Not here: the limits and their order, see `rate_limits`.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;

use super::audit;
use super::client_ip::ClientIp;
use super::error::{ApiError, ApiResult};
use super::state::AppState;
use crate::auth::PasswordCheck;
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::user::{Credentials, PasswordHash, User};

/// An account whose password was verified.
pub(super) struct Verified {
    pub credentials: Credentials,
    /// A hash of the same password with the current parameters, if the stored one is weaker.
    pub stronger_hash: Option<PasswordHash>,
}

/// Verifies the password of the account that `find` returns. Takes the same time if there is no
/// account.
///
/// # Errors
/// [`ApiError::RateLimited`] before the password is hashed. [`ApiError::InvalidLogin`] if the
/// password is wrong or there is no account. Other errors are failures of this service and do not
/// count as attempts.
pub(super) async fn check_password(
    app: &Arc<AppState>,
    client: ClientIp,
    username: &str,
    password: SecretString,
    find: impl Future<Output = ApiResult<Option<Credentials>>>,
    refusal: EventKind,
) -> ApiResult<Verified> {
    app.rate_limits.check_login(client.0)?;
    let credentials = find.await?;
    let user = credentials.as_ref().map(|found| found.user_id);
    let attempt = app.rate_limits.begin_login(client.0, username, user).await?;
    let check = match verify(app, client, username, password, credentials.as_ref()).await {
        Ok(check) => check,
        Err(error) => {
            attempt.undecided();
            return Err(error);
        }
    };
    let (credentials, stronger_hash) = match (credentials, check) {
        (Some(credentials), PasswordCheck::Match) => (credentials, None),
        (Some(credentials), PasswordCheck::NeedsRehash(hash)) => (credentials, Some(hash)),
        _ => {
            attempt.failed().await?;
            // Recorded last, because the store keeps the event only for existing accounts.
            audit::record_refusal(app, client, user, refusal);
            return Err(ApiError::InvalidLogin);
        }
    };
    attempt.succeeded().await;
    Ok(Verified { credentials, stronger_hash })
}

/// The e-mail of the caller's account, and when it was verified.
pub(super) struct OwnEmail {
    pub(super) email: Email,
    pub(super) verified_at: Option<Timestamp>,
}

/// Verifies the password of the caller: a token may be stolen, or left in an unlocked browser.
///
/// # Errors
/// As in [`check_password`], and [`ApiError::InvalidToken`] if the token was revoked or its account
/// deleted.
pub(super) async fn confirm_password(
    app: &Arc<AppState>,
    caller: Caller,
    client: ClientIp,
    password: SecretString,
) -> ApiResult<OwnEmail> {
    let (User { email, .. }, verified_at) = app.store.find_me_verified(caller).await?;
    let find = async { Ok(Some(app.store.find_own_credentials(caller).await?)) };
    let refusal = EventKind::PasswordRefused;
    check_password(app, client, email.as_str(), password, find, refusal).await?;
    Ok(OwnEmail { email, verified_at })
}

/// Returns the hash of a new password of this client, for the account with this e-mail.
///
/// # Errors
/// [`ApiError::Overloaded`] at once if the queue is full, or the share of the client or account is.
pub(super) async fn hash_password(
    app: &AppState,
    client: ClientIp,
    username: Option<&str>,
    password: SecretString,
) -> ApiResult<PasswordHash> {
    let permit = app.rate_limits.hashing_permit(client.0, username);
    let permit = permit.ok_or(ApiError::Overloaded)?;
    Ok(app.passwords.hash_while_holding(password, permit).await?)
}

async fn verify(
    app: &AppState,
    client: ClientIp,
    username: &str,
    password: SecretString,
    credentials: Option<&Credentials>,
) -> ApiResult<PasswordCheck> {
    let permit = app.rate_limits.hashing_permit(client.0, Some(username));
    let permit = permit.ok_or(ApiError::Overloaded)?;
    let stored = credentials.map(|found| found.password_hash.clone());
    Ok(app.passwords.verify_while_holding(password, stored, permit).await?)
}
