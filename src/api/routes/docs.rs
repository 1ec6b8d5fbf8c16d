//! The handler of the documentation: the OpenAPI document, Swagger UI and `ReDoc`.
//!
//! Not here: the content of the pages, see `api/docs.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::api::error::ApiResult;
use crate::api::openapi;
use crate::api::state::AppState;

/// Serves the page or the file with the path of the request.
pub(in crate::api) async fn serve_file(
    State(app): State<Arc<AppState>>,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let document = || openapi::document(&app.root_path, &app.policy);
    let docs = &app.documentation;
    let files = docs.files(&app.root_path, openapi::TITLE, &app.large_work, document)?;
    files.respond(uri.path(), &headers).await
}
