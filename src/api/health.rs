//! Whether the service lives, and whether it can work.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::responses::{ApiResult, Failures};
use crate::http::{ApiError, AppState, Json};
use crate::store::{Readiness, StoreError};

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
/// The database answers and would take a write; if not, the answer says why. For whoever sends
/// requests here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz_readyz_get", tag = "Health",
    responses((status = 200, description = "Successful Response", body = Health), Failures)
)]
pub(super) async fn readyz(State(app): State<Arc<AppState>>) -> ApiResult<Json<Health>> {
    let (reason, cause) = match app.store.check_ready().await {
        Ok(Readiness::Ready) => return Ok(Json(OK)),
        Ok(Readiness::WrongRevision) => {
            ("the database is not at the revision that this binary works with", None)
        }
        Ok(Readiness::ReadOnly) => ("the database only reads", None),
        Err(StoreError::Overloaded) => ("too much is waiting for the database", None),
        Err(StoreError::Unavailable(cause)) => ("the database is out of reach", Some(cause)),
        Err(error) => return Err(error.into()),
    };
    Err(ApiError::NotReady(reason, cause))
}
