//! The events of the caller's account.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::ApiResult;
use crate::api::responses::{Failures, TokenErrors, serialize_timestamp};
use crate::api::state::AppState;
use crate::api::tagged_json::tagged_json;
use crate::domain::caller::Caller;
use crate::domain::event::Event;

/// An event of an account.
#[derive(Serialize, ToSchema)]
#[schema(title = "EventOut")]
pub(in crate::api) struct EventOut {
    /// The kind: `signed_up`, `logged_in`, `login_refused`, `password_refused`, `password_changed`,
    /// `email_changed`, `signed_out`, `session_ended`, `refresh_token_reused`, `ownership_refused`,
    /// `password_reset`, `email_verified`, `mail_failed`,
    /// `created_by_operator`, `password_set_by_operator`, `signed_out_by_operator`,
    /// `disabled_by_operator`, `enabled_by_operator`, `admin_granted_by_operator`,
    /// `admin_revoked_by_operator`, `post_deleted_by_operator`.
    #[schema(example = "logged_in")]
    event: &'static str,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The client IP of the request. Null for an operator's command.
    #[schema(example = "203.0.113.9", required = true)]
    client: Option<String>,
}

impl From<Event> for EventOut {
    fn from(Event { kind, at, client }: Event) -> Self {
        Self { event: kind.name(), at, client: client.map(|client| client.to_string()) }
    }
}

/// List the events of the account
///
/// Lists the newest 100 events of the account, newest first. At most 50 of them are refusals.
#[utoipa::path(
    get, path = "/users/me/events", operation_id = "listEvents", tag = "Users",
    responses(
        (status = 200, description = "Successful Response", body = Vec<EventOut>),
        TokenErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_events(
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> ApiResult<Response> {
    let events = app.store.list_events(caller).await?;
    tagged_json(&app, events.into_iter().map(EventOut::from).collect::<Vec<_>>()).await
}
