//! Tickets for streams of changes.
//!
//! Not here: their content, see `auth/stream_ticket.rs`; the streams, see `changes.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::ApiResult;
use crate::api::extract::{StreamToken, caller_of};
use crate::api::json_response::json_response;
use crate::api::responses::{Failures, TokenErrors};
use crate::api::state::AppState;
use crate::auth::TICKET_LIFETIME;

/// A ticket, to be sent as `GET /posts/changes?ticket=…`.
#[derive(Serialize, ToSchema)]
#[schema(title = "StreamTicket", example = json!({"ticket": "eyJ0eXAi…", "expires_in": 60}))]
pub(in crate::api) struct StreamTicket {
    ticket: String,
    /// How long the ticket opens streams, in seconds.
    expires_in: u64,
}

/// Get a ticket for a stream
///
/// Returns a ticket for clients that cannot send a header, such as an `EventSource` of a browser. It
/// opens streams of the caller's account for a minute, and nothing else.
#[utoipa::path(
    post, path = "/posts/changes/tickets", operation_id = "createChangesTicket", tag = "Posts",
    responses(
        (status = 201, description = "Successful Response", body = StreamTicket),
        TokenErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn create_ticket(
    State(app): State<Arc<AppState>>,
    StreamToken(token): StreamToken,
) -> ApiResult<Response> {
    app.store.find_caller(caller_of(&token, &app)).await?;
    let ticket = app.tokens.issue_ticket(&token)?;
    let ticket = StreamTicket { ticket, expires_in: TICKET_LIFETIME.as_secs() };
    Ok(json_response(StatusCode::CREATED, &ticket))
}
