//! Several secrets in one text.

use crate::auth::Algorithm;

/// Says what is wrong with a key.
pub(super) fn check_secret(secret: &str, algorithm: Algorithm) -> Result<(), String> {
    crate::auth::check_secret(secret, algorithm).map_err(|weak| weak.to_string())
}

/// The secrets of a text, in its order; or says what is wrong.
pub(super) fn split_secrets(
    text: &str,
    is_between: impl Fn(char) -> bool,
) -> Result<Vec<String>, String> {
    let mut secrets: Vec<String> = Vec::new();
    for secret in text.split(is_between).map(str::trim).filter(|secret| !secret.is_empty()) {
        if secrets.iter().any(|other| other == secret) {
            return Err(format!("key {} stands there twice", secrets.len() + 1));
        }
        secrets.push(secret.to_owned());
    }
    if secrets.is_empty() { Err("holds no key".to_owned()) } else { Ok(secrets) }
}
