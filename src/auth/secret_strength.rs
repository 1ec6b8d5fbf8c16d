//! The minimum strength of secrets that sign tokens.
//! Not here: where secrets come from, see `config`.

use std::collections::BTreeSet;

use super::Algorithm;

/// Secrets from tutorials. Every reader of these tutorials could sign tokens.
const SAMPLES: [&str; 5] = [
    // The secret of the FastAPI documentation.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "your-secret-key",
    "your_secret_key",
    "changeme",
    "supersecret",
];

/// Minimum number of different characters. A generated secret practically always has more.
const MIN_DISTINCT: usize = 8;

/// Why a secret is too weak. The error texts do not contain the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    #[error("is a published sample")]
    Sample,
    #[error("has {bytes} bytes, {algorithm:?} needs {min} or more")]
    TooShort { bytes: usize, algorithm: Algorithm, min: usize },
    #[error("has {0} different characters, {MIN_DISTINCT} or more are needed")]
    Monotonous(usize),
}

/// Accepts a secret that is at least as long as the hash output (RFC 7518, 3.2) and has at least 8
/// different characters. Rejects published samples.
///
/// # Errors
/// The first rule that the secret breaks.
pub fn check_secret(secret: &str, algorithm: Algorithm) -> Result<(), WeakSecret> {
    let min = algorithm.min_secret_bytes().unwrap_or(usize::MAX);
    if SAMPLES.iter().any(|sample| secret.eq_ignore_ascii_case(sample)) {
        return Err(WeakSecret::Sample);
    }
    if secret.len() < min {
        return Err(WeakSecret::TooShort { bytes: secret.len(), algorithm, min });
    }
    let distinct = secret.chars().collect::<BTreeSet<_>>().len();
    if distinct < MIN_DISTINCT {
        return Err(WeakSecret::Monotonous(distinct));
    }
    Ok(())
}
