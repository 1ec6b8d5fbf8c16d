//! The `Idempotency-Key` header of a write (draft-ietf-httpapi-idempotency-key-header-07).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{BodyKind, FieldError, FromRequestFields, RequestFields, ValidationError};
use crate::domain::idempotency_key::{Digest, Fingerprint, IdempotencyKey, InvalidKey};
use crate::domain::policy::Policy;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A write that a client can repeat with a key.
pub(in crate::api) trait Repeatable {
    /// Returns the fingerprint of the operation and its parsed values. Another JSON text of the same
    /// values is the same request.
    fn fingerprint(&self) -> Fingerprint;
}

/// The input of a write, and its key.
pub(in crate::api) struct Keyed<T> {
    pub input: T,
    pub key: Option<IdempotencyKey>,
}

impl<T: FromRequestFields + Repeatable> FromRequestFields for Keyed<T> {
    const BODY: BodyKind = T::BODY;

    fn body(policy: &Policy, headers: &HeaderMap) -> BodyKind {
        T::body(policy, headers)
    }

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let input = T::read(request);
        let digest = request.idempotency_key();
        let (input, digest) = (input?, digest?);
        let key = digest.map(|digest| IdempotencyKey { digest, fingerprint: input.fingerprint() });
        Some(Self { input, key })
    }
}

impl RequestFields<'_> {
    /// Returns the digest of the key. Its error comes before those of the body.
    ///
    /// The outer `None` means an error; the inner `None` means that the header is absent.
    #[expect(clippy::option_option, reason = "an error and an absent header are two things")]
    fn idempotency_key(&mut self) -> Option<Option<Digest>> {
        let values: Vec<&[u8]> =
            self.headers.get_all(IDEMPOTENCY_KEY).iter().map(HeaderValue::as_bytes).collect();
        let digest = match values.as_slice() {
            [] => return Some(None),
            [value] => {
                std::str::from_utf8(value).map_err(|_| InvalidKey).and_then(IdempotencyKey::parse)
            }
            _ => Err(InvalidKey),
        };
        if let Ok(digest) = digest {
            return Some(Some(digest));
        }
        let reason = InvalidKey.to_string();
        let error = FieldError::value_error(reason.clone(), &reason);
        let input = String::from_utf8_lossy(&values.join(&b", "[..])).into_owned();
        let location = ["header", IDEMPOTENCY_KEY.as_str()].map(Value::from).to_vec();
        let error = ValidationError::new(location, error, Value::from(input));
        let is_of_body = |error: &ValidationError| error.location.first() == Some(&"body".into());
        let place = self.errors.iter().position(is_of_body).unwrap_or(self.errors.len());
        self.errors.insert(place, error);
        None
    }
}
