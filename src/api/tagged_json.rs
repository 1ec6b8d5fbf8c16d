//! JSON responses with an entity tag.
//!
//! Not here: posts and lists of posts, whose tags are computed with them.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::entity_tag::with_tag;
use super::error::ApiResult;
use super::json_response::{json_response_from, to_json};
use super::state::AppState;

/// Returns a 200 response with the value as JSON, and its tag.
pub(super) async fn tagged_json(
    app: &AppState,
    value: impl Serialize + Send,
) -> ApiResult<Response> {
    let json = to_json(0, &value);
    drop(value);
    let tag = app.entity_tags().await?.of_body(&json);
    Ok(with_tag(json_response_from(StatusCode::OK, json), tag))
}
