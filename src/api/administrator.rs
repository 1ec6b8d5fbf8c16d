//! A caller that is an administrator. The right is checked before any part of the request is read,
//! so a client without it cannot learn which parameters the route accepts.
//!
//! Not here: the reads of administrators, whose statements check the right again.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;
use super::state::AppState;
use crate::domain::caller::Caller;

pub(super) struct Administrator(pub Caller);

impl FromRequestParts<Arc<AppState>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if !app.store.is_administrator(caller).await? {
            return Err(ApiError::NotAdministrator);
        }
        Ok(Self(caller))
    }
}
