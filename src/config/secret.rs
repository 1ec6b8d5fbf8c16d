//! Secrets that sign tokens: what is good enough, and several of them in one text.

use crate::auth::Algorithm;

/// Keys that stand in tutorials: whoever reads them can sign tokens.
const SAMPLES: [&str; 5] = [
    // The key of the FastAPI documentation.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "your-secret-key",
    "your_secret_key",
    "changeme",
    "supersecret",
];

/// Says what is wrong with a key. RFC 7518, 3.2: it must be as long as the hash's output.
pub(super) fn check_secret(secret: &str, algorithm: Algorithm) -> Result<(), String> {
    let least = algorithm.min_secret_bytes().unwrap_or(usize::MAX);
    let problem = if SAMPLES.iter().any(|sample| secret.eq_ignore_ascii_case(sample)) {
        "is a sample that everybody knows".to_owned()
    } else if secret.len() < least {
        format!("has {} bytes, {algorithm:?} needs {least} or more", secret.len())
    } else if is_monotonous(secret) {
        "is the same few characters over and over".to_owned()
    } else {
        return Ok(());
    };
    Err(problem)
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

fn is_monotonous(secret: &str) -> bool {
    let mut kinds: Vec<char> = secret.chars().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() < 8
}
