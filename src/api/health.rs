//! Whether the service lives, and whether it can work.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::responses::{ApiResult, Failures};
use crate::http::{App, Json};

/// The service answers.
#[derive(Serialize, ToSchema)]
#[schema(title = "Health", example = json!({"status": "ok"}))]
pub(super) struct Health {
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Livez
///
/// The process answers; nothing else is asked. For whoever restarts it.
#[utoipa::path(
    get, path = "/livez", operation_id = "livez_livez_get", tag = "Health",
    responses((status = 200, description = "Successful Response", body = Health))
)]
pub(super) async fn livez() -> Json<Health> {
    Json(OK)
}

/// Readyz
///
/// The database answers, and its write lock can be had. For whoever sends requests here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz_readyz_get", tag = "Health",
    responses((status = 200, description = "Successful Response", body = Health), Failures)
)]
pub(super) async fn readyz(State(app): State<Arc<App>>) -> ApiResult<Json<Health>> {
    app.store.check_ready().await?;
    Ok(Json(OK))
}
