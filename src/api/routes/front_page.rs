//! Handlers of the page at `/` and its files.
//!
//! Not here: their content, see `api/front_page.rs`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::api::error::{ApiError, ApiResult};
use crate::api::front_page::FrontPage;

pub(in crate::api) async fn serve_page(
    State(front): State<Arc<FrontPage>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    front.page.respond(&headers, &front.large_work).await
}

/// Serves the page at the prefix that a proxy has left on. It runs only if no route has this path.
pub(in crate::api) async fn serve_page_at_prefix(
    state: State<Arc<FrontPage>>,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult<Response> {
    if uri.path() != state.root_path {
        return Err(ApiError::RouteNotFound);
    }
    serve_page(state, headers).await
}

pub(in crate::api) async fn serve_style(
    State(front): State<Arc<FrontPage>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    front.style.respond(&headers, &front.large_work).await
}

pub(in crate::api) async fn serve_script(
    State(front): State<Arc<FrontPage>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    front.script.respond(&headers, &front.large_work).await
}

pub(in crate::api) async fn serve_admin_page(
    State(front): State<Arc<FrontPage>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    front.admin.respond(&headers, &front.large_work).await
}

pub(in crate::api) async fn serve_file(
    State(front): State<Arc<FrontPage>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let file = front.file(&name).ok_or(ApiError::RouteNotFound)?;
    file.respond(&headers, &front.large_work).await
}
