//! The sessions of the caller's account.
//!
//! Not here: how a session is started and refreshed, see `login.rs` and `refresh.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields};
use crate::api::responses::{
    ErrorBody, Failures, TokenErrors, ValidationErrors, serialize_timestamp,
};
use crate::api::state::AppState;
use crate::api::tagged_json::tagged_json;
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;
use crate::domain::session::{Session, SessionId};

/// A session: a login with a refresh token.
#[derive(Serialize, ToSchema)]
#[schema(title = "SessionOut")]
pub(in crate::api) struct SessionOut {
    #[schema(example = 1)]
    id: i64,
    /// The `User-Agent` of the login.
    #[schema(example = "curl/8.5.0")]
    user_agent: String,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the session started or was last refreshed.
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    used_at: Timestamp,
    /// When the session expires, unless it is refreshed before.
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

/// The ID of a session in the path.
pub(in crate::api) struct SessionPath(SessionId);

impl FromRequestFields for SessionPath {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        request.path_integer("id").map(|id| Self(SessionId(id.as_id())))
    }
}

/// List the sessions
///
/// Lists the sessions of the account, the last used first.
#[utoipa::path(
    get, path = "/users/me/sessions", operation_id = "listSessions",
    tag = "Sessions",
    responses(
        (status = 200, description = "Successful Response", body = Vec<SessionOut>),
        TokenErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_sessions(
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> ApiResult<Response> {
    let sessions = app.store.list_sessions(caller, app.clock.now()).await?;
    tagged_json(&app, sessions.into_iter().map(SessionOut::from).collect::<Vec<_>>()).await
}

/// End a session
///
/// Revokes the refresh token of the session. Its last access token stays valid until it expires;
/// `POST /logout` revokes access tokens too.
#[utoipa::path(
    delete, path = "/users/me/sessions/{id}",
    operation_id = "endSession", tag = "Sessions",
    params(("id" = i64, Path, description = "The ID of the session")),
    responses(
        (status = 204, description = "Successful Response"),
        (status = 404, description = "The account has no such session", body = ErrorBody,
            example = json!({"detail": "no such session"})),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn end_session(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
    Valid(SessionPath(id)): Valid<SessionPath>,
) -> ApiResult<StatusCode> {
    if !end(&app, client, caller, Some(id)).await? {
        return Err(ApiError::NoSuchSession);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// End all sessions
///
/// Revokes the refresh tokens of all sessions of the account.
#[utoipa::path(
    delete, path = "/users/me/sessions", operation_id = "endSessions",
    tag = "Sessions",
    responses(
        (status = 204, description = "Successful Response"),
        TokenErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn end_sessions(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
) -> ApiResult<StatusCode> {
    end(&app, client, caller, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the session with this ID, or all sessions. Returns whether any session has ended.
async fn end(
    app: &Arc<AppState>,
    client: ClientIp,
    caller: Caller,
    id: Option<SessionId>,
) -> ApiResult<bool> {
    audit::run_to_completion(app, |app| async move {
        let has_ended = app.store.end_sessions(caller, id).await?;
        if has_ended {
            audit::record(&app, client, caller.user_id, EventKind::SessionEnded).await;
        }
        Ok(has_ended)
    })
    .await
}
