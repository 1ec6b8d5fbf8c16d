//! Masks secrets in the input that a validation error echoes to the client.

use serde_json::Value;

use crate::domain::email::Email;

/// The text that replaces a secret.
pub(super) const MASK: &str = "**********";

/// Parts of the names of secret fields, in several languages and spellings.
const SECRET_NAMES: [&str; 6] = ["pass", "pwd", "kennwort", "contrase", "secret", "token"];

/// Returns whether the text contains the name of a secret, in any case.
pub(super) fn names_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| text.contains(secret))
}

/// Masks the fields that are named like secrets, at any depth: a client may send a password or a
/// token in a misspelled field or to the wrong route.
pub(super) fn mask_all(mut value: Value) -> Value {
    mask_within(&mut value);
    value
}

/// Masks a value that should be an object. If the object would have a secret, every text is masked,
/// because any text may be the secret. A single e-mail is kept: some clients send it instead of the
/// object.
pub(super) fn mask_outside(value: Value, secret: Option<&str>) -> Value {
    match value {
        _ if secret.is_none() => mask_all(value),
        Value::String(text) if Email::parse(&text).is_ok() => Value::String(text),
        other => mask_texts(other),
    }
}

fn mask_texts(value: Value) -> Value {
    match value {
        Value::String(_) => Value::from(MASK),
        Value::Array(items) => items.into_iter().map(mask_texts).collect(),
        mut other => {
            mask_within(&mut other);
            other
        }
    }
}

fn mask_within(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_within),
        Value::Object(fields) => {
            for (name, field) in fields {
                if names_secret(name) {
                    *field = Value::from(MASK);
                } else {
                    mask_within(field);
                }
            }
        }
        _ => {}
    }
}
