//! The audit log of accounts. Each event is one log line with the target `audit`. The store also
//! keeps most events, for their account.
//!
//! An event contains no secret and no unverified claim. A rejected login logs the ID of the
//! account, if the account exists, and never the e-mail that the client sent.
//!
//! Not here: the route that lists the events of an account, see `routes/events.rs`.

use std::sync::Arc;

use super::client_ip::ClientIp;
use super::error::ApiResult;
use super::state::AppState;
use crate::domain::event::{Event, EventKind};
use crate::domain::user::UserId;
use crate::error_chain::error_chain;

/// Changes an account and records the event, even if the client closes the connection meanwhile.
pub(super) async fn run_to_completion<T: Send + 'static, F>(
    app: &Arc<AppState>,
    work: impl FnOnce(Arc<AppState>) -> F,
) -> ApiResult<T>
where
    F: Future<Output = ApiResult<T>> + Send + 'static,
{
    app.background.run_to_completion(work(Arc::clone(app))).await
}

/// Records a change before the response is sent. If the store cannot keep the event, the change
/// remains in effect.
pub(super) async fn record(app: &AppState, client: ClientIp, user: UserId, kind: EventKind) {
    let event = log(app, client, Some(user), kind);
    keep(app, user, event).await;
}

/// Records a rejected action. The store keeps the event after the response, so that the response time
/// does not reveal whether the account exists.
pub(super) fn record_refusal(
    app: &Arc<AppState>,
    client: ClientIp,
    user: Option<UserId>,
    kind: EventKind,
) {
    let event = log(app, client, user, kind);
    let Some(user) = user else { return };
    let kept = Arc::clone(app);
    app.background.spawn(async move { keep(&kept, user, event).await });
}

/// Records an event only in the log: it is too frequent to store, or has no account.
pub(super) fn record_in_log(
    app: &AppState,
    client: ClientIp,
    user: Option<UserId>,
    kind: EventKind,
) {
    log(app, client, user, kind);
}

fn log(app: &AppState, ClientIp(client): ClientIp, user: Option<UserId>, kind: EventKind) -> Event {
    let event = Event { kind, at: app.clock.now(), client };
    app.metrics.count_event(kind);
    let client = client.map(|client| client.to_string()).unwrap_or_default();
    let outcome = match kind {
        EventKind::MailFailed => "failed",
        kind if kind.is_refusal() => "refused",
        _ => "done",
    };
    let (name, user) = (kind.name(), user.map(|user| user.0));
    tracing::info!(target: "audit", event = name, outcome, user, client);
    event
}

async fn keep(app: &AppState, user: UserId, event: Event) {
    if let Err(error) = app.store.record_event(user, event).await {
        tracing::warn!(
            error = error_chain(&error),
            event = event.kind.name(),
            "could not store an audit event"
        );
    }
}
