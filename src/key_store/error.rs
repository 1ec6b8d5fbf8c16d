//! The errors of the key store.

use std::io;
use std::path::{Path, PathBuf};

use crate::auth::TokenError;

/// Why secrets cannot be read or stored. Names the file, the problem and the remedy, and never
/// contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    #[error("{} {problem}; {hint}", path.display())]
    File { path: PathBuf, problem: String, hint: &'static str },
    #[error("could not generate a secret: {0}")]
    Random(#[from] getrandom::Error),
    #[error("could not name a secret: {0}")]
    Kid(#[from] TokenError),
}

impl KeyStoreError {
    pub(super) fn file(path: &Path, problem: impl Into<String>, hint: &'static str) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into(), hint }
    }

    pub(super) fn read(path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "start the service once to create it",
            _ => "make it a file that the service's user can read",
        };
        Self::file(path, format!("could not be read: {error}"), hint)
    }
}
