//! Handlers of the pages at `/` and `/admin` and their files.
//!
//! Not here: their content, see `api/pages.rs`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::api::SlashRemoved;
use crate::api::error::{ApiError, ApiResult};
use crate::api::pages::Pages;

/// Serves the page or the file with the path of the request.
pub(in crate::api) async fn serve_file(
    State(pages): State<Arc<Pages>>,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult<Response> {
    pages.files.respond(uri.path(), &headers).await
}

/// Serves the page with links that are relative to the path as the client sees it.
pub(in crate::api) async fn serve_admin_page(
    State(pages): State<Arc<Pages>>,
    slash: Option<Extension<SlashRemoved>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let path = if slash.is_some() { "/admin/" } else { "/admin" };
    pages.files.respond(path, &headers).await
}

/// Serves the page at the prefix that a proxy has left on. It runs only if no route has this path.
pub(in crate::api) async fn serve_page_at_prefix(
    State(pages): State<Arc<Pages>>,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult<Response> {
    if uri.path() != pages.root_path {
        return Err(ApiError::RouteNotFound);
    }
    pages.files.respond("/", &headers).await
}
