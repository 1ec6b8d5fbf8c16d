//! Which of the data folder's secrets the service signs with, and since when: the name of that secret, in a
//! file that is as old as that has been so. A new secret signs nothing before the next start, whenever that
//! is, and until then the one before it must not go.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use secrecy::SecretString;

use super::secret_file::{keep_name, write_draft};
use crate::auth::{Algorithm, Keys};

/// The file, in the data folder. The name tells nothing of the secret.
const SIGNING_FILE: &str = "secret_key.signing";

/// What signs.
pub(super) struct Signing {
    pub(super) name: String,
    pub(super) since: Timestamp,
}

/// Notes that the service signs with this secret from now on. Nothing is written while that was so before.
///
/// Where it cannot be written there is nothing noted either, and no secret is dropped that may sign.
///
/// # Errors
/// If what was noted before can be neither replaced nor removed.
pub fn record_signing_key(
    data_dir: &Path,
    secret: &SecretString,
    algorithm: Algorithm,
) -> io::Result<()> {
    let path = data_dir.join(SIGNING_FILE);
    let name = Keys::kid_of(secret, algorithm).map_err(io::Error::other)?;
    // One that cannot be read is another one.
    if read_signing(data_dir).is_ok_and(|noted| noted.is_some_and(|noted| noted.name == name)) {
        return Ok(());
    }
    let Err(error) = write(&path, &name) else { return Ok(()) };
    match std::fs::remove_file(&path) {
        Err(stays) if stays.kind() != io::ErrorKind::NotFound => Err(naming(&path, &stays)),
        _ => {
            tracing::warn!(path = %path.display(), %error, "which secret signs cannot be noted");
            Ok(())
        }
    }
}

/// What is noted, if anything is.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read_signing(data_dir: &Path) -> io::Result<Option<Signing>> {
    let path = data_dir.join(SIGNING_FILE);
    let name = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(naming(&path, &error)),
    };
    let since = std::fs::metadata(&path)?.modified()?;
    let since = Timestamp::try_from(since).map_err(io::Error::other)?;
    Ok(Some(Signing { name, since }))
}

/// The name by which that file knows a secret.
pub(super) fn name_of(secret: &str, algorithm: Algorithm) -> io::Result<String> {
    Keys::kid_of(&SecretString::from(secret), algorithm).map_err(io::Error::other)
}

fn write(path: &Path, name: &str) -> io::Result<()> {
    let draft = write_draft(path, name)?;
    if let Err(error) = std::fs::rename(&draft, path) {
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    keep_name(path)
}

/// The error with the file that it is about.
pub(super) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
