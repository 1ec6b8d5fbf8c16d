//! The responses of the reference model.

use serde_json::{Value, json};

/// The body is `Null` if it is not compared.
#[derive(Debug, Clone)]
pub(super) struct ExpectedResponse {
    pub(super) status: u16,
    pub(super) body: Value,
    /// Whether it repeats the response to an earlier request.
    pub(super) is_replay: bool,
}

pub(super) type Rejected = ExpectedResponse;

pub(super) fn respond(status: u16, body: Value) -> ExpectedResponse {
    ExpectedResponse { status, body, is_replay: false }
}

pub(super) fn reject(status: u16, detail: impl Into<String>) -> Rejected {
    respond(status, json!({"detail": detail.into()}))
}
