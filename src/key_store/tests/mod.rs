//! The file of secrets after starts and rotations at chosen times.

/// The first start, concurrent processes, and files that must not be used.
mod file;

/// The files of earlier builds.
mod legacy;

/// The secrets that a rotation keeps and drops.
mod rotation;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::stored_secret::StoredSecret;
use super::{KEYS_FILE, KeyStore, OldSecrets};
use crate::auth::Algorithm;

const LIFETIME: Duration = Duration::from_mins(30);

/// A data folder with a clock.
struct Folder {
    folder: TempDir,
    now: Timestamp,
}

impl Folder {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), now: "2026-05-01T12:00:00Z".parse().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join(KEYS_FILE)
    }

    fn store(&self) -> KeyStore {
        KeyStore::new(self.path(), Algorithm::HS256)
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.checked_add(time).unwrap();
    }

    /// Starts a service and returns the secrets that it uses. The first one signs.
    fn start(&self) -> Vec<String> {
        texts(&self.store(), self.now)
    }

    fn rotate(&self) -> usize {
        self.store().rotate(self.now, OldSecrets::KeepFor(LIFETIME)).unwrap()
    }

    fn stored(&self) -> Vec<StoredSecret> {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        self.stored().into_iter().map(|stored| stored.secret).collect()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn texts(store: &KeyStore, now: Timestamp) -> Vec<String> {
    let secrets = store.start_signing(now).unwrap();
    secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
}
