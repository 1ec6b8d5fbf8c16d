//! Handlers of the documentation: the OpenAPI document, Swagger UI and `ReDoc`.
//!
//! Not here: the content of the pages, see `api/docs.rs`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::docs::Pages;
use crate::api::error::{ApiError, ApiResult};
use crate::api::openapi;
use crate::api::state::AppState;

pub(in crate::api) async fn serve_document(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    pages(&app)?.document.respond(&headers, &app.large_work).await
}

pub(in crate::api) async fn serve_swagger(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    pages(&app)?.swagger.respond(&headers, &app.large_work).await
}

pub(in crate::api) async fn serve_redirect(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    pages(&app)?.redirect.respond(&headers, &app.large_work).await
}

pub(in crate::api) async fn serve_redoc(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    pages(&app)?.redoc.respond(&headers, &app.large_work).await
}

pub(in crate::api) async fn serve_asset(
    State(app): State<Arc<AppState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let page = pages(&app)?.asset(&name).ok_or(ApiError::RouteNotFound)?;
    page.respond(&headers, &app.large_work).await
}

fn pages(app: &AppState) -> ApiResult<&Pages> {
    let document = || openapi::document(&app.root_path, &app.policy);
    app.documentation.pages(&app.root_path, openapi::TITLE, document)
}
