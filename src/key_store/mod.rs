//! The secrets that the service generates for itself, in `DATA_DIR/keys.json`. The first start
//! creates a secret. A rotation inserts a new secret before it. Old secrets stay while tokens
//! depend on them.
//!
//! Not here: secrets and key pairs from settings, see `config/keys.rs`; how a key signs, see
//! `auth/keys.rs`.

mod error;
mod file;
mod legacy;
mod rotation;
mod stored_secret;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::auth::Algorithm;
use crate::file_access::{Exposure, exposure};

use self::file::LockedFile;
use self::stored_secret::StoredSecret;

pub use error::KeyStoreError;

/// The name of the file, in the data folder.
pub const KEYS_FILE: &str = "keys.json";

/// How long the previous process may continue to sign after the next process has started.
const HANDOVER: Duration = Duration::from_mins(1);

/// The old secrets that a rotation keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldSecrets {
    /// Keep the secrets whose tokens may still be valid. The value is the lifetime of a token.
    KeepFor(Duration),
    /// Drop all of them: the next start revokes every token.
    Drop,
}

/// The file of secrets in a data folder.
#[derive(Debug)]
pub struct KeyStore {
    data_dir: PathBuf,
    path: PathBuf,
    algorithm: Algorithm,
}

impl KeyStore {
    #[must_use]
    pub fn new(data_dir: &Path, algorithm: Algorithm) -> Self {
        let path = data_dir.join(KEYS_FILE);
        Self { data_dir: data_dir.to_owned(), path, algorithm }
    }

    /// Returns the secrets for a service that starts to sign now: the first signs, all verify.
    ///
    /// Creates the file if it does not exist. Records in it when the first secret started to sign,
    /// because a rotation must know on which secrets tokens depend. If recording fails, the
    /// previous secret continues to sign.
    ///
    /// # Errors
    /// [`KeyStoreError`] if the file cannot be created or read, or if everyone can access it. Also
    /// if one of its secrets is too weak for the algorithm.
    pub fn start_signing(&self, now: Timestamp) -> Result<Vec<SecretString>, KeyStoreError> {
        self.take_over_legacy()?;
        if !self.path.exists() {
            self.create(&[StoredSecret::generate(self.algorithm, now)?])?;
        }
        let (file, mut secrets) = self.lock()?;
        match exposure(&file.metadata) {
            Exposure::Group => tracing::warn!(
                path = %self.path.display(),
                "a group can access the keys; make the file's mode 0600 unless the group is the service's own"
            ),
            Exposure::AnotherUser(owner) => tracing::warn!(
                path = %self.path.display(),
                owner,
                "another user owns the keys; give the file to the user of the service"
            ),
            Exposure::Owner | Exposure::Everyone => {}
        }
        let mut recorded = secrets.clone();
        if rotation::record_start(&mut recorded, self.algorithm, now)? {
            match self.replace(&file, &recorded) {
                Ok(()) => secrets = recorded,
                Err(error) => {
                    // Without a record, a rotation could drop the secret that signs.
                    tracing::warn!(%error, "could not record which key signs; the previous key signs");
                    rotation::put_signing_first(&mut secrets);
                }
            }
        }
        Ok(secrets.into_iter().map(|stored| SecretString::from(stored.secret)).collect())
    }

    /// Checks the secrets as [`KeyStore::start_signing`] does, and changes nothing. Returns who can
    /// access the file, or `None` if there is no file yet.
    ///
    /// # Errors
    /// As [`KeyStore::start_signing`].
    pub fn check(&self) -> Result<Option<Exposure>, KeyStoreError> {
        if self.path.exists() {
            let (file, _) = self.lock()?;
            return Ok(Some(exposure(&file.metadata)));
        }
        legacy::read(&self.data_dir, self.algorithm).map(|_| None)
    }

    /// Inserts a new secret at the front and returns how many old secrets stay. A running service
    /// continues to sign with the secret that it read at its start. After its next start it signs
    /// with the new one.
    ///
    /// The secret that signs now always stays, unless all old secrets are dropped. If there would
    /// be more than eight secrets, those that never signed are dropped first.
    ///
    /// # Errors
    /// [`KeyStoreError`] if there is no file, or as in [`KeyStore::start_signing`]. The file is then
    /// unchanged.
    pub fn rotate(&self, now: Timestamp, old: OldSecrets) -> Result<usize, KeyStoreError> {
        self.take_over_legacy()?;
        let (file, mut secrets) = self.lock()?;
        match old {
            OldSecrets::Drop => secrets.clear(),
            OldSecrets::KeepFor(lifetime) => {
                let time = lifetime.saturating_add(HANDOVER);
                let tokens_from = now.checked_sub(time).unwrap_or(Timestamp::MIN);
                rotation::drop_unneeded(&mut secrets, tokens_from);
            }
        }
        secrets.insert(0, StoredSecret::generate(self.algorithm, now)?);
        self.replace(&file, &secrets)?;
        Ok(secrets.len() - 1)
    }

    /// Converts the files of earlier builds, if they exist, to the new file.
    fn take_over_legacy(&self) -> Result<(), KeyStoreError> {
        if !self.path.exists() {
            let Some(secrets) = legacy::read(&self.data_dir, self.algorithm)? else {
                return Ok(());
            };
            self.create(&secrets)?;
            tracing::info!(path = %self.path.display(), "took over the secrets of an earlier build");
        }
        // The new file is already on the disk, so a crash loses no secret.
        legacy::remove(&self.data_dir, &self.path);
        Ok(())
    }

    /// Creates the file, unless another process has created it meanwhile.
    fn create(&self, secrets: &[StoredSecret]) -> Result<(), KeyStoreError> {
        file::create(&self.path, &stored_secret::render(secrets)).map_err(|error| {
            let problem = format!("could not be created: {error}");
            let hint = "make DATA_DIR a folder that the service can write to, or give SECRET_KEY";
            KeyStoreError::file(&self.path, problem, hint)
        })
    }

    /// Locks the file and reads its secrets. The lock lasts until the returned file is dropped.
    fn lock(&self) -> Result<(LockedFile, Vec<StoredSecret>), KeyStoreError> {
        let file =
            file::lock(&self.path).map_err(|error| KeyStoreError::read(&self.path, &error))?;
        if exposure(&file.metadata) == Exposure::Everyone {
            let hint = "make its mode 0600; if others may have read it, also run \
                        `post-api secret rotate --drop-old`";
            return Err(KeyStoreError::file(&self.path, "can be accessed by everyone", hint));
        }
        let secrets = stored_secret::parse(&file.content, self.algorithm).map_err(|problem| {
            let hint = "restore it from a backup, or delete it: the next start then creates it with a \
                        new secret, and revokes every access token";
            KeyStoreError::file(&self.path, problem, hint)
        })?;
        Ok((file, secrets))
    }

    fn replace(&self, file: &LockedFile, secrets: &[StoredSecret]) -> Result<(), KeyStoreError> {
        file.replace(&stored_secret::render(secrets)).map_err(|error| {
            let problem = format!("could not be replaced: {error}");
            let hint = "check the owner, the permissions and the free space of its folder";
            KeyStoreError::file(&self.path, problem, hint)
        })
    }
}
