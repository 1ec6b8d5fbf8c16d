//! Masks secrets in the input that a validation error echoes to the client.

use serde_json::Value;

use crate::domain::email::Email;

/// The text that replaces a secret.
pub(super) const MASK: &str = "**********";

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

#[cfg(test)]
mod tests {
    use super::*;

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
