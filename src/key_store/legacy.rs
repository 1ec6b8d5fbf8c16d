//! Converts the files of earlier builds. `secret_key` has one secret per line, the newest first.
//! `secret_key.signing` contains the `kid` of the secret that signs. Its modification time is when
//! that secret started to sign.

use std::io::{self, Read as _};
use std::path::Path;

use jiff::Timestamp;

use super::KeyStoreError;
use super::stored_secret::{self, StoredSecret};
use crate::auth::Algorithm;
use crate::file_access::{Exposure, exposure, ignore_missing, open_regular, sync_folder};

const SECRETS: &str = "secret_key";
const SIGNING: &str = "secret_key.signing";

/// Returns the secrets of the old files, or `None` if there are no such files.
pub(super) fn read(
    data_dir: &Path,
    algorithm: Algorithm,
) -> Result<Option<Vec<StoredSecret>>, KeyStoreError> {
    let path = data_dir.join(SECRETS);
    let Some(old) = OldFile::read(&path)? else { return Ok(None) };
    if matches!(old.exposure, Exposure::AnotherUser(_) | Exposure::Everyone) {
        tracing::warn!(
            path = %path.display(),
            exposure = %old.exposure,
            "others could read the secrets; run `post-api secret rotate --drop-old` to revoke every token"
        );
    }
    let text = std::str::from_utf8(&old.bytes)
        .map_err(|_| KeyStoreError::read(&path, &io::ErrorKind::InvalidData.into()))?;
    let lines: Vec<&str> = lines(text).collect();
    stored_secret::check(&lines, algorithm).map_err(|problem| {
        let hint = "restore it from a backup, or delete it: the next start then creates a new secret, \
                    and revokes every access token";
        KeyStoreError::file(&path, problem, hint)
    })?;
    let to_stored = |line: &str| StoredSecret::new(line.to_owned(), algorithm, old.modified);
    let mut secrets = lines.into_iter().map(to_stored).collect::<Result<Vec<_>, _>>()?;
    if let Some(signing) = OldFile::read(&data_dir.join(SIGNING))?
        && let kid = signing.bytes.trim_ascii_end()
        && let Some(stored) = secrets.iter_mut().find(|stored| stored.kid.as_bytes() == kid)
    {
        stored.signs_from = Some(signing.modified);
    }
    Ok(Some(secrets))
}

/// Removes the old files if the new file contains their secrets. Otherwise logs a warning.
pub(super) fn remove(data_dir: &Path, keys: &Path) {
    let (secrets, signing) = (data_dir.join(SECRETS), data_dir.join(SIGNING));
    if !secrets.exists() && !signing.exists() {
        return;
    }
    if let Err(error) = try_remove(&secrets, &signing, keys) {
        tracing::warn!(path = %secrets.display(), %error, "could not remove a file of an earlier build");
    }
}

fn try_remove(secrets: &Path, signing: &Path, keys: &Path) -> io::Result<()> {
    // The error of a file that is no JSON is dropped, because it can quote a secret.
    let kept: Vec<StoredSecret> = serde_json::from_slice(&std::fs::read(keys)?).unwrap_or_default();
    let text = ignore_missing(std::fs::read_to_string(secrets))?.unwrap_or_default();
    if !lines(&text).all(|line| kept.iter().any(|stored| stored.secret == line)) {
        let problem = format!("{} does not hold all its secrets", keys.display());
        return Err(io::Error::other(problem));
    }
    ignore_missing(std::fs::remove_file(signing))?;
    ignore_missing(std::fs::remove_file(secrets))?;
    sync_folder(secrets)
}

struct OldFile {
    bytes: Vec<u8>,
    exposure: Exposure,
    modified: Timestamp,
}

impl OldFile {
    /// Opens the file once, because another process may convert and remove it at the same time.
    fn read(path: &Path) -> Result<Option<Self>, KeyStoreError> {
        let read = || {
            let mut file = open_regular(path)?;
            let metadata = file.metadata()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Self {
                bytes,
                exposure: exposure(&metadata),
                modified: Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?,
            })
        };
        ignore_missing(read()).map_err(|error| KeyStoreError::read(path, &error))
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty())
}
