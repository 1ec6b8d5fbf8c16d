//! The liveness and readiness probes.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::error::{ApiError, ApiResult};
use crate::api::json_response::Json;
use crate::api::responses::ErrorBody;
use crate::api::state::AppState;
use crate::store::{Readiness, StoreError};

/// The service answers.
#[derive(Serialize, ToSchema)]
#[schema(title = "Health", example = json!({"status": "ok"}))]
pub(in crate::api) struct Health {
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Check that the process answers
///
/// Returns 200 while the process answers. For liveness probes.
#[utoipa::path(
    get, path = "/livez", operation_id = "checkLiveness", tag = "Health",
    responses((status = 200, description = "Successful Response", body = Health))
)]
pub(in crate::api) async fn livez() -> Json<Health> {
    Json(OK)
}

/// Check that the database works
///
/// Returns 200 if the database answers and accepts writes, and the service is not shutting down;
/// otherwise the response says why. For readiness probes.
#[utoipa::path(
    get, path = "/readyz", operation_id = "checkReadiness", tag = "Health",
    responses(
        (status = 200, description = "Successful Response", body = Health),
        (status = 500, description = "An internal error", body = ErrorBody,
            example = json!({"detail": "Internal Server Error"})),
        (status = 503, description = "The service cannot serve requests now", body = ErrorBody,
            headers(("Retry-After" = i64, description = "Seconds to wait")),
            example = json!({"detail": "not ready: the database is out of reach"})),
    )
)]
pub(in crate::api) async fn readyz(State(app): State<Arc<AppState>>) -> ApiResult<Json<Health>> {
    if app.shutdown.has_begun() {
        return Err(ApiError::NotReady("the service is shutting down", None));
    }
    let (reason, cause) = match app.store.check_ready().await {
        Ok(Readiness::Ready) => return Ok(Json(OK)),
        Ok(Readiness::WrongRevision) => {
            ("the database is not at the revision that this binary works with", None)
        }
        Ok(Readiness::ReadOnly) => ("the database only reads", None),
        Err(StoreError::Overloaded) => ("too much is waiting for the database", None),
        Err(StoreError::Unavailable(cause)) => ("the database is out of reach", Some(cause)),
        Err(error) => ("the database cannot be read", Some(error.into())),
    };
    Err(ApiError::NotReady(reason, cause))
}
