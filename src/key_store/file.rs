//! Writes a file of secrets atomically: a crash leaves either the old or the new content. Locks the
//! file against other processes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::file_access::{open_regular, sync_folder};

/// The locked file and its content. Until this value is dropped, [`lock`] blocks in other processes.
pub(super) struct LockedFile {
    pub(super) content: Vec<u8>,
    pub(super) metadata: Metadata,
    /// The path, with symbolic links resolved.
    path: PathBuf,
    _lock: File,
}

/// Creates the file atomically, with mode 0600. Keeps a file that already exists.
pub(super) fn create(path: &Path, text: &str) -> io::Result<()> {
    match write_temporary(path, text)?.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => sync_folder(path),
    }
}

/// Waits for the lock and reads the file. Every writer must lock the file before it reads.
/// Otherwise it could overwrite a concurrent rotation and bring back dropped secrets.
pub(super) fn lock(path: &Path) -> io::Result<LockedFile> {
    // With a symbolic link, the target must be replaced, not the link.
    let path = path.canonicalize()?;
    loop {
        let mut file = open_regular(&path)?;
        file.lock()?;
        let metadata = file.metadata()?;
        let current = std::fs::metadata(&path)?;
        // Another process may have replaced the opened file while this one waited for the lock.
        if (metadata.dev(), metadata.ino()) == (current.dev(), current.ino()) {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            return Ok(LockedFile { content, metadata, path, _lock: file });
        }
    }
}

impl LockedFile {
    /// Replaces the file atomically. The new file has mode 0600. It keeps the owner of the old
    /// file, because root may run a rotation for a service of another user.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let temporary = write_temporary(&self.path, text)?;
        let metadata = temporary.as_file().metadata()?;
        let owner = (self.metadata.uid(), self.metadata.gid());
        if (metadata.uid(), metadata.gid()) != owner {
            std::os::unix::fs::chown(temporary.path(), Some(owner.0), Some(owner.1))?;
        }
        temporary.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(&self.path)
    }
}

/// Writes the text to the disk, in a new file in the same folder. The name is random, so that a
/// leftover file of a killed process does not block the next one.
fn write_temporary(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary =
        tempfile::Builder::new().prefix("keys.").suffix(".new").tempfile_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}
