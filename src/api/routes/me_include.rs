//! The parameter `include` of the own account.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::include::read_include;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields};
use crate::api::responses::serialize_timestamp;

/// When an e-mail was verified.
#[derive(Serialize)]
#[serde(transparent)]
pub(in crate::api) struct VerifiedAt(
    #[serde(serialize_with = "serialize_timestamp")] pub(super) Timestamp,
);

/// A value of the parameter `include` of the own account.
#[derive(ToSchema)]
#[schema(title = "MeInclude", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of the parameter")]
pub(in crate::api) enum MeInclude {
    Verified,
}

/// Whether the response says when the e-mail was verified.
pub(in crate::api) struct GetMeRequest {
    pub(super) include_verified: bool,
}

impl FromRequestFields for GetMeRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let include = read_include(request, &["verified"])?;
        Some(Self { include_verified: !include.is_empty() })
    }
}
