//! Masks secrets in the input that a validation error echoes to the client, and shortens the input.

use serde_json::Value;

use crate::domain::email::Email;

/// The text that replaces a secret.
pub(super) const MASK: &str = "**********";

/// Maximum size in bytes of an echoed input. The recorded contract echoes 2,050 characters.
const MAX_ECHO_BYTES: usize = 4096;

/// Parts of the names of secret fields, in several languages and spellings.
const SECRET_PARTS: [&str; 11] = [
    "pass",
    "pwd",
    "kennwort",
    "contrase",
    "senha",
    "wachtwoord",
    "parol",
    "secret",
    "token",
    "credential",
    "apikey",
];

/// Names of secret fields that are parts of other words too, such as "opinion" and "keyboard".
const SECRET_WORDS: [&str; 7] = ["pw", "psw", "pin", "otp", "key", "keys", "clave"];

/// Returns whether the text contains the name of a secret, in any case.
pub(super) fn names_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|secret| lower.contains(secret)) || has_secret_word(text)
}

/// The words of `user_pin`, `user-pin` and `userPin` are "user" and "pin".
fn has_secret_word(text: &str) -> bool {
    let mut words = String::with_capacity(text.len());
    let mut is_previous_lower = false;
    for character in text.chars() {
        if character.is_ascii_uppercase() && is_previous_lower {
            words.push(' ');
        }
        is_previous_lower = character.is_ascii_lowercase();
        words.push(character.to_ascii_lowercase());
    }
    words
        .split(|character: char| !character.is_ascii_alphabetic())
        .any(|word| SECRET_WORDS.contains(&word))
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

/// Shortens an input to about [`MAX_ECHO_BYTES`]: a text to its beginning with `…`, a list or an
/// object to its first members. A client that does not read the error makes the process hold it.
pub(super) fn shorten(mut value: Value) -> Value {
    let mut left = MAX_ECHO_BYTES;
    shorten_within(&mut value, &mut left);
    value
}

fn shorten_within(value: &mut Value, left: &mut usize) {
    // A value without content has brackets, a comma or a few letters.
    *left = left.saturating_sub(4);
    match value {
        Value::String(text) if text.len() > *left => {
            text.truncate(text.floor_char_boundary(*left));
            text.push('…');
            text.shrink_to_fit();
            *left = 0;
        }
        Value::String(text) => *left -= text.len(),
        Value::Number(number) => *left = left.saturating_sub(number.as_str().len()),
        Value::Array(items) => {
            let mut kept = 0;
            while let Some(item) = items.get_mut(kept).filter(|_| *left > 0) {
                shorten_within(item, left);
                kept += 1;
            }
            items.truncate(kept);
            items.shrink_to_fit();
        }
        Value::Object(fields) => {
            let members = std::mem::take(fields).into_iter();
            for (name, mut member) in members {
                if *left <= name.len() {
                    *left = 0;
                    break;
                }
                *left -= name.len();
                shorten_within(&mut member, left);
                fields.insert(name, member);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_input_is_kept() {
        for value in [json!("x".repeat(4000)), json!({"a": [1, null, {"b": "c"}], "d": {}})] {
            assert_eq!(shorten(value.clone()), value);
        }
    }

    #[test]
    fn long_input_of_any_shape_is_shortened() {
        let long = "é".repeat(100_000);
        for value in [
            json!(long),
            json!([long, long]),
            json!({ "a": { "b": long }, "c": 1 }),
            json!({ long.clone(): 1 }),
            json!(vec![Value::Null; 40_000]),
            json!(vec![json!({}); 40_000]),
            (0..40_000).map(|number| (number.to_string(), json!([]))).collect(),
        ] {
            let short = shorten(value).to_string();
            assert!(short.len() <= 2 * MAX_ECHO_BYTES, "{} bytes", short.len());
        }
        assert_eq!(shorten(json!([long]))[0].as_str().map(|text| text.ends_with("é…")), Some(true));
    }

    #[test]
    fn names_of_secrets_are_recognized_in_every_spelling() {
        for name in [
            "password",
            "newPassword",
            "PASSWORT",
            "pwd",
            "kennwort",
            "contrasena",
            "senha",
            "Senha_Atual",
            "wachtwoord",
            "parola",
            "client_secret",
            "accessToken",
            "credentials",
            "apiKey",
            "APIKEY",
            "private-key",
            "key",
            "pw",
            "user_pw",
            "newPw",
            "PIN",
            "user.pin",
            "cardPin",
            "otp",
            "clave",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in ["opinion", "spin", "keyboard", "monkey", "hotkeys", "post_id", "Pinned", ""] {
            assert!(!names_secret(name), "{name}");
        }
    }
}
