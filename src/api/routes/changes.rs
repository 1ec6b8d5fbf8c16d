//! The stream of changes of posts, as server-sent events.
//!
//! Not here: what is sent, see `api/changes/`; tickets, see `change_tickets.rs`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::empty;
use serde_json::Value;

use crate::api::changes::{StreamRequest, open_stream};
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{StreamToken, Valid, caller_of};
use crate::api::input::{BodyKind, FromRequestFields, RequestFields, boolean};
use crate::api::responses::{ErrorBody, Failures, RateLimitErrors, TokenErrors, ValidationErrors};
use crate::api::state::AppState;
use crate::client_limits::RequestPermit;

const EVENT_STREAM: &str = "text/event-stream";

/// The header with which an `EventSource` continues.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells nginx not to collect the response.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The validated query and headers of a stream.
pub(in crate::api) struct StreamChangesRequest {
    with_votes: bool,
    last_event_id: Option<String>,
    accepts_events: bool,
}

impl FromRequestFields for StreamChangesRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let votes = request.query("votes", |text| boolean(&Value::from(text)));
        let header = request.header(&LAST_EVENT_ID).map(str::to_owned);
        let query = || request.query_text("last_event_id");
        let last_event_id = header.filter(|id| !id.is_empty()).or_else(query);
        let accepts_events = accepts_events(request.headers);
        Some(Self { with_votes: votes?.unwrap_or(true), last_event_id, accepts_events })
    }
}

/// Follow the changes of posts
///
/// Sends an event for each changed post, about a second after the commit: `created`, `updated`,
/// `votes` and `deleted`. An event has the post as it is now. Read the list after `hello` with
/// `resumed: false`, and again after `reset`. docs/live.md describes the events and has clients.
#[utoipa::path(
    get, path = "/posts/changes", operation_id = "streamChanges", tag = "Posts",
    params(
        ("votes" = Option<bool>, Query, description = "`false`: without the events `votes`"),
        ("last_event_id" = Option<String>, Query,
            description = "Like `Last-Event-ID`, which has precedence"),
        ("ticket" = Option<String>, Query,
            description = "A ticket of `POST /posts/changes/tickets`, instead of a token"),
        ("Last-Event-ID" = Option<String>, Header,
            description = "The `id` of the last event that the client has"),
    ),
    responses(
        (status = 200, description = "Events, until the token expires or is revoked", body = String,
            content_type = "text/event-stream",
            headers(("X-Accel-Buffering" = String, description = "`no`, for nginx"))),
        (status = 406, description = "`Accept` excludes `text/event-stream`", body = ErrorBody,
            example = json!({"detail": "Not Acceptable"})),
        TokenErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn stream_changes(
    State(app): State<Arc<AppState>>,
    StreamToken(token): StreamToken,
    method: Method,
    Extension(permit): Extension<RequestPermit>,
    Valid(request): Valid<StreamChangesRequest>,
) -> ApiResult<Response> {
    let caller = caller_of(&token, &app);
    app.store.find_caller(caller).await?;
    let StreamChangesRequest { with_votes, last_event_id, accepts_events } = request;
    if !accepts_events {
        return Err(ApiError::NotAcceptable);
    }
    let body = if method == Method::HEAD {
        // A body of a known length would add `Content-Length`, which the response of GET lacks.
        Body::from_stream(empty::<Result<Bytes, Infallible>>())
    } else {
        let request = StreamRequest { caller, expires: token.expires, with_votes, last_event_id };
        Body::from_stream(open_stream(&app, permit, request).await?)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Returns whether the client accepts events (RFC 9110, 12.5.1). The most specific range counts.
/// Without the header it accepts everything.
fn accepts_events(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok());
    let ranges: Vec<(&str, bool)> = fields
        .flat_map(|field| field.split(','))
        .filter(|range| !range.trim().is_empty())
        .map(|range| {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            (name.trim(), !has_weight_of_zero(parameters))
        })
        .collect();
    let find = |wanted: &str| {
        let found = ranges.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, is_wanted)| *is_wanted)
    };
    let found = find(EVENT_STREAM).or_else(|| find("text/*")).or_else(|| find("*/*"));
    found.unwrap_or(ranges.is_empty())
}

fn has_weight_of_zero(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let weight = value.trim().parse::<f32>();
        name.trim().eq_ignore_ascii_case("q") && weight.is_ok_and(|weight| weight <= 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_accepted_unless_other_types_are_asked_for() {
        let cases: [(&[&'static str], bool); 14] = [
            (&[], true),
            (&[""], true),
            (&["text/event-stream"], true),
            (&["TEXT/Event-Stream"], true),
            (&["text/html, */*;q=0.8"], true),
            (&["application/json", "text/event-stream"], true),
            (&["text/*"], true),
            (&["*/*"], true),
            (&["application/json"], false),
            (&["text/html,application/xml;q=0.9"], false),
            (&["text/event-stream;q=0"], false),
            (&["text/event-stream ; q=0.0, */*"], false),
            (&["*/*;q=0"], false),
            (&["application/*"], false),
        ];
        for (fields, accepted) in cases {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(ACCEPT, HeaderValue::from_static(field));
            }
            assert_eq!(accepts_events(&headers), accepted, "{fields:?}");
        }
    }
}
