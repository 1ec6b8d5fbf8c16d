//! What has happened to accounts: one line of the log each (target `audit`), and for the account itself
//! kept in the store. Never with a secret, and never with what somebody only claims to be: of a login
//! that was refused the account is named if there is one, the address that was typed is not.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::responses::{ApiResult, Failures, TokenRefusals, serialize_timestamp};
use crate::domain::caller::Caller;
use crate::domain::event::{Event, EventKind};
use crate::domain::user::UserId;
use crate::error_chain::error_chain;
use crate::http::{AppState, Client, Json};

/// Something that has happened to an account.
#[derive(Serialize, ToSchema)]
#[schema(title = "EventOut")]
pub(super) struct EventOut {
    /// What: `signed_up`, `logged_in`, `login_refused`, `password_refused`, `password_changed`,
    /// `email_changed`, `signed_out`, `session_ended`, `refresh_token_reused`, `ownership_refused`.
    #[schema(example = "logged_in")]
    event: &'static str,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The address that the request came from.
    #[schema(example = "203.0.113.9", required = true)]
    client: Option<String>,
}

impl From<Event> for EventOut {
    fn from(Event { kind, at, client }: Event) -> Self {
        Self { event: kind.name(), at, client: client.map(|client| client.to_string()) }
    }
}

/// List Events
///
/// What has happened to one's account, the newest 100, the newest first; of refusals 50 are kept.
#[utoipa::path(
    get, path = "/users/me/events", operation_id = "list_events_users_me_events_get", tag = "Users",
    responses(
        (status = 200, description = "Successful Response", body = Vec<EventOut>),
        TokenRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn list_events(
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> ApiResult<Json<Vec<EventOut>>> {
    let events = app.store.list_events(caller).await?;
    Ok(Json(events.into_iter().map(EventOut::from).collect()))
}

/// Does what changes an account and records it, as one: whoever leaves in the middle keeps neither from
/// being done.
pub(super) async fn complete<T: Send + 'static, F>(
    app: &Arc<AppState>,
    work: impl FnOnce(Arc<AppState>) -> F,
) -> ApiResult<T>
where
    F: Future<Output = ApiResult<T>> + Send + 'static,
{
    app.background.complete(work(Arc::clone(app))).await
}

/// Records what was done, before it is answered. What was done stands even if its event cannot be kept.
pub(super) async fn record(app: &AppState, Client(client): Client, user: UserId, kind: EventKind) {
    let event = log(app, Client(client), Some(user), kind);
    keep(app, user, event).await;
}

/// Records what was not done. Nobody waits for it to be kept: how long a refusal takes must not tell
/// whether there is an account.
pub(super) fn record_refusal(
    app: &Arc<AppState>,
    client: Client,
    user: Option<UserId>,
    kind: EventKind,
) {
    let event = log(app, client, user, kind);
    let Some(user) = user else { return };
    let kept = Arc::clone(app);
    app.background.run(async move { keep(&kept, user, event).await });
}

/// Records what is too common to be kept, or nobody's, in the log alone.
pub(super) fn record_in_log(app: &AppState, client: Client, user: Option<UserId>, kind: EventKind) {
    log(app, client, user, kind);
}

fn log(app: &AppState, Client(client): Client, user: Option<UserId>, kind: EventKind) -> Event {
    let event = Event { kind, at: app.clock.now(), client };
    let client = client.map(|client| client.to_string()).unwrap_or_default();
    let outcome = if kind.is_refusal() { "refused" } else { "done" };
    let (name, user) = (kind.name(), user.map(|user| user.0));
    tracing::info!(target: "audit", event = name, outcome, user, client);
    event
}

async fn keep(app: &AppState, user: UserId, event: Event) {
    if let Err(error) = app.store.record_event(user, event).await {
        tracing::warn!(
            error = error_chain(&error),
            event = event.kind.name(),
            "an event could not be kept"
        );
    }
}
