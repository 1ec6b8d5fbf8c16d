//! The password that confirms the deletion of an account, if the policy requires it.

use axum::http::HeaderMap;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::input::{BodyKind, FieldError, FromRequestFields, RequestFields, text};
use crate::domain::policy::Policy;

/// The body of a deletion of an account.
#[derive(Deserialize, ToSchema)]
#[schema(title = "DeletionConfirmation", example = json!({"current_password": "plum lantern 83 quay"}))]
#[expect(dead_code, reason = "the schema of PasswordConfirmation")]
pub(in crate::api) struct DeletionConfirmation {
    /// The password of the account.
    #[schema(format = "password")]
    current_password: String,
}

/// The password that confirms a deletion. `None` if the policy does not require it.
pub(in crate::api) struct PasswordConfirmation(pub(super) Option<SecretString>);

const HEADER: &str = "X-Confirm-Password";
const FIELD: &str = "current_password";

/// HTTP removes white space at the ends of a header field, and browsers cannot send every character
/// in it (RFC 9110, 5.5).
const HEADER_HINT: &str = "send X-Confirm-Password once, as percent-encoded UTF-8, or send the \
                           password as current_password in a JSON body";

const MISSING_HINT: &str = "Field required: send the password as current_password in a JSON body, \
                            or as percent-encoded UTF-8 in the header X-Confirm-Password";

impl FromRequestFields for PasswordConfirmation {
    const BODY: BodyKind = BodyKind::Ignored;

    fn body(policy: &Policy, headers: &HeaderMap) -> BodyKind {
        if policy.delete_requires_password && !headers.contains_key(HEADER) {
            BodyKind::Json
        } else {
            BodyKind::Ignored
        }
    }

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        if !request.policy().delete_requires_password {
            return Some(Self(None));
        }
        let password = match request.encoded_header(HEADER, HEADER_HINT)? {
            Some(password) => SecretString::from(password),
            None => request.alternative(FIELD, MISSING_HINT, secret_text)?,
        };
        Some(Self(Some(password)))
    }
}

pub(in crate::api) fn secret_text(value: &Value) -> Result<SecretString, FieldError> {
    text(value).map(SecretString::from)
}
