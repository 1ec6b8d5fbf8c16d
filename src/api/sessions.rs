//! Staying signed in: refresh tokens, and the sessions that they go on with. How one is asked for is
//! `login`'s.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::audit;
use super::login::Token;
use super::responses::{
    ApiResult, Failures, Refusal, TokenRefusals, ValidationRefusals, serialize_timestamp,
};
use crate::auth::{RefreshSecrets, generate_salt};
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;
use crate::domain::policy::SessionTimeouts;
use crate::domain::session::{NewSession, RotateSession, Rotation, Session, SessionId};
use crate::domain::user::Credentials;
use crate::http::{
    ApiError, AppState, BodyKind, Client, FromRequestFields, Json, JsonInteger, RequestFields,
    Valid,
};

/// A sign-in that lasts.
#[derive(Serialize, ToSchema)]
#[schema(title = "SessionOut")]
pub(super) struct SessionOut {
    #[schema(example = 1)]
    id: i64,
    /// What the client called itself when it signed in.
    #[schema(example = "curl/8.5.0")]
    user_agent: String,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was begun or last gone on with.
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    used_at: Timestamp,
    /// When it ends unless it is used before.
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<Session> for SessionOut {
    fn from(session: Session) -> Self {
        let Session { id, user_agent, created_at, used_at, expires_at } = session;
        Self { id: id.0, user_agent, created_at, used_at, expires_at }
    }
}

/// The number of a session in the path.
pub(super) struct SessionPath(JsonInteger);

impl FromRequestFields for SessionPath {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        request.path_integer("id").map(Self)
    }
}

/// List Sessions
///
/// Where one's account is signed in to stay: those that were used last first.
#[utoipa::path(
    get, path = "/users/me/sessions", operation_id = "list_sessions_users_me_sessions_get",
    tag = "Sessions",
    responses(
        (status = 200, description = "Successful Response", body = Vec<SessionOut>),
        TokenRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn list_sessions(
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> ApiResult<Json<Vec<SessionOut>>> {
    let sessions = app.store.list_sessions(caller, app.clock.now()).await?;
    Ok(Json(sessions.into_iter().map(SessionOut::from).collect()))
}

/// End Session
///
/// Its refresh token is good for nothing from then on. The access token that it brought last is good until
/// it expires; `POST /logout` ends those too.
#[utoipa::path(
    delete, path = "/users/me/sessions/{id}",
    operation_id = "end_session_users_me_sessions__id__delete", tag = "Sessions",
    params(("id" = i64, Path, description = "The session's number")),
    responses(
        (status = 204, description = "Successful Response"),
        (status = 404, description = "No such session of the account", body = Refusal,
            example = json!({"detail": "no such session"})),
        TokenRefusals, ValidationRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn end_session(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
    Valid(SessionPath(id)): Valid<SessionPath>,
) -> ApiResult<StatusCode> {
    let Some(known) = id.as_i64().map(SessionId) else {
        app.store.find_caller(caller).await?;
        return Err(ApiError::NoSuchSession);
    };
    if !end(&app, client, caller, Some(known)).await? {
        return Err(ApiError::NoSuchSession);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// End Sessions
///
/// All of them.
#[utoipa::path(
    delete, path = "/users/me/sessions", operation_id = "end_sessions_users_me_sessions_delete",
    tag = "Sessions",
    responses(
        (status = 204, description = "Successful Response"),
        TokenRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn end_sessions(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
) -> ApiResult<StatusCode> {
    end(&app, client, caller, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells whether there was one.
async fn end(
    app: &Arc<AppState>,
    client: Client,
    caller: Caller,
    id: Option<SessionId>,
) -> ApiResult<bool> {
    audit::complete(app, |app| async move {
        let has_ended = app.store.end_sessions(caller, id).await?;
        if has_ended {
            audit::record(&app, client, caller.user_id, EventKind::SessionEnded).await;
        }
        Ok(has_ended)
    })
    .await
}

/// Begins a session for an account whose password was right.
pub(super) async fn begin(
    app: &AppState,
    credentials: &Credentials,
    user_agent: String,
) -> ApiResult<Token> {
    let secrets = RefreshSecrets::generate().map_err(ApiError::internal)?;
    let now = app.clock.now();
    let SessionTimeouts { unused, longest } = app.policy.sessions;
    let ends_at = later(now, longest);
    let session = NewSession {
        user_id: credentials.user_id,
        tokens_valid_from: credentials.tokens_valid_from,
        family: secrets.family_hash(),
        link: secrets.link_hash(),
        user_agent,
        now,
        expires_at: later(now, unused).min(ends_at),
        ends_at,
    };
    // The password was changed while it was checked.
    let id = app.store.create_session(session).await?.ok_or(ApiError::InvalidLogin)?;
    let access = app.tokens.issue(credentials.user_id, credentials.tokens_valid_from)?;
    Ok(Token::lasting(access, secrets.token(id), app.tokens.lifetime()))
}

/// Goes on with a session: a token that was good becomes its successor.
pub(super) async fn go_on(app: &Arc<AppState>, client: Client, token: &str) -> ApiResult<Token> {
    let Some((id, secrets)) = RefreshSecrets::parse(token) else {
        audit::record_in_log(app, client, None, EventKind::RefreshRefused);
        return Err(ApiError::InvalidGrant);
    };
    let salt = generate_salt().map_err(ApiError::internal)?;
    let (whole, now) = (secrets.token_hash(id), app.clock.now());
    let first_attempt_at = app.interrupted_refreshes.first_attempt_at(&whole, now);
    let next = secrets.next(salt);
    let rotation = Rotation {
        id,
        family: secrets.family_hash(),
        presented: secrets.link_hash(),
        next: next.link_hash(),
        salt,
        now,
        first_attempt_at,
        expires_at: later(now, app.policy.sessions.unused),
    };
    let rotated = audit::complete(app, |app| rotate(app, client, rotation)).await;
    match &rotated {
        Ok(_) => app.interrupted_refreshes.forget(&whole),
        Err(_) => app.interrupted_refreshes.remember(whole, first_attempt_at),
    }
    let (user_id, tokens_valid_from, next) = match rotated? {
        RotateSession::Rotated(user_id, tokens_valid_from) => (user_id, tokens_valid_from, next),
        RotateSession::Repeated(user_id, tokens_valid_from, salt) => {
            (user_id, tokens_valid_from, secrets.next(salt))
        }
        RotateSession::Reused(_) | RotateSession::NoSuchSession => {
            return Err(ApiError::InvalidGrant);
        }
    };
    let access = app.tokens.issue(user_id, tokens_valid_from)?;
    Ok(Token::lasting(access, next.token(id), app.tokens.lifetime()))
}

async fn rotate(
    app: Arc<AppState>,
    client: Client,
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
