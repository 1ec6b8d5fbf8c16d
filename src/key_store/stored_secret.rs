//! The format of `keys.json`: a JSON array of secrets, the newest first.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::KeyStoreError;
use crate::auth::{Algorithm, Keys, check_secret};

/// Maximum number of secrets, including the one that signs. A token without a known `kid` is verified
/// with each of them.
pub(super) const MAX_SECRETS: usize = 8;

/// One entry of the file. It contains a secret, so it does not implement `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSecret {
    /// The ID of the secret in tokens. It depends on the algorithm and reveals nothing about the
    /// secret.
    pub(super) kid: String,
    pub(super) secret: String,
    pub(super) created_at: Timestamp,
    /// When a service first signed with the secret. `None` if no service has.
    pub(super) signs_from: Option<Timestamp>,
}

impl StoredSecret {
    /// Generates 64 random bytes, which suffice for every algorithm. They take 86 characters in
    /// base64url.
    pub(super) fn generate(algorithm: Algorithm, now: Timestamp) -> Result<Self, KeyStoreError> {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes)?;
        Self::new(URL_SAFE_NO_PAD.encode(bytes), algorithm, now)
    }

    pub(super) fn new(
        secret: String,
        algorithm: Algorithm,
        created_at: Timestamp,
    ) -> Result<Self, KeyStoreError> {
        Ok(Self { kid: kid(&secret, algorithm)?, secret, created_at, signs_from: None })
    }

    /// Computes the `kid` for the algorithm, and returns whether it has changed.
    pub(super) fn update_kid(&mut self, algorithm: Algorithm) -> Result<bool, KeyStoreError> {
        let before = std::mem::replace(&mut self.kid, kid(&self.secret, algorithm)?);
        Ok(self.kid != before)
    }
}

fn kid(secret: &str, algorithm: Algorithm) -> Result<String, KeyStoreError> {
    Ok(Keys::kid_of(&SecretString::from(secret), algorithm)?)
}

/// Reads the secrets, or returns the problem with the file.
pub(super) fn parse(content: &[u8], algorithm: Algorithm) -> Result<Vec<StoredSecret>, String> {
    if content.trim_ascii().is_empty() {
        return Err("is empty".to_owned());
    }
    let secrets: Vec<StoredSecret> = serde_json::from_slice(content).map_err(|error| {
        // The text of the error is left out, because it can quote a secret.
        let (line, column) = (error.line(), error.column());
        format!("does not hold keys in JSON: line {line}, column {column} is wrong")
    })?;
    let texts: Vec<&str> = secrets.iter().map(|stored| stored.secret.as_str()).collect();
    check(&texts, algorithm)?;
    Ok(secrets)
}

/// Checks that the secrets may sign and verify together.
pub(super) fn check(secrets: &[&str], algorithm: Algorithm) -> Result<(), String> {
    match secrets.len() {
        0 => return Err("holds no key".to_owned()),
        1..=MAX_SECRETS => {}
        number => return Err(format!("holds {number} keys, {MAX_SECRETS} is the most")),
    }
    let mut seen = HashSet::new();
    for (number, secret) in (1..).zip(secrets) {
        if !seen.insert(secret) {
            return Err(format!("is unusable: key {number} repeats an earlier key"));
        }
        check_secret(secret, algorithm)
            .map_err(|weak| format!("is unusable: key {number} {weak}"))?;
    }
    Ok(())
}

/// Returns the text of the file.
pub(super) fn render(secrets: &[StoredSecret]) -> String {
    // Serializing cannot fail: it fails only for maps whose keys are not strings.
    serde_json::to_string_pretty(secrets).unwrap_or_default() + "\n"
}
