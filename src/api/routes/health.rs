//! The liveness and readiness probes.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::{ApiError, ApiResult};
use crate::api::json_response::Json;
use crate::api::responses::Failures;
use crate::api::state::AppState;
use crate::store::{Readiness, StoreError};

/// The service answers.
#[derive(Serialize, ToSchema)]
#[schema(title = "Health", example = json!({"status": "ok"}))]
pub(in crate::api) struct Health {
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Livez
///
/// Returns 200 while the process answers. For liveness probes.
#[utoipa::path(
    get, path = "/livez", operation_id = "livez_livez_get", tag = "Health",
    responses((status = 200, description = "Successful Response", body = Health))
)]
pub(in crate::api) async fn livez() -> Json<Health> {
    Json(OK)
}

/// Readyz
///
/// Returns 200 if the database answers and accepts writes; otherwise the response says why. For
/// readiness probes.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz_readyz_get", tag = "Health",
    responses((status = 200, description = "Successful Response", body = Health), Failures)
)]
pub(in crate::api) async fn readyz(State(app): State<Arc<AppState>>) -> ApiResult<Json<Health>> {
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
