//! Handlers of the documentation: the OpenAPI document, Swagger UI and `ReDoc`.
//!
//! Not here: the content of the pages, see `api/docs.rs`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse as _, Response};

use crate::api::error::ApiError;
use crate::api::state::AppState;

pub(in crate::api) async fn serve_document(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Response {
    app.pages.document.respond(&headers)
}

pub(in crate::api) async fn serve_swagger(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Response {
    app.pages.swagger.respond(&headers)
}

pub(in crate::api) async fn serve_redirect(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Response {
    app.pages.redirect.respond(&headers)
}

pub(in crate::api) async fn serve_redoc(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Response {
    app.pages.redoc.respond(&headers)
}

pub(in crate::api) async fn serve_asset(
    State(app): State<Arc<AppState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    match app.pages.asset(&name) {
        Some(page) => page.respond(&headers),
        None => ApiError::RouteNotFound.into_response(),
    }
}
