//! Writes a file of secrets so that a crash leaves either the old or the new content, and locks it
//! against other processes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The content of the file. While this lives, no other process replaces the file through [`lock`].
pub(super) struct LockedFile {
    pub(super) content: Vec<u8>,
    pub(super) metadata: Metadata,
    /// Without symbolic links.
    path: PathBuf,
    _lock: File,
}

/// Creates the file with mode 0600, whole or not at all. Keeps a file that already exists.
pub(super) fn create(path: &Path, text: &str) -> io::Result<()> {
    match write_temporary(path, text)?.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => sync_folder(path),
    }
}

/// Waits for the lock and reads the file. Every writer locks: a rotation that replaced the file between
/// another's read and write would be undone, and dropped secrets would come back.
pub(super) fn lock(path: &Path) -> io::Result<LockedFile> {
    // If the path is a symbolic link, its target is replaced.
    let path = path.canonicalize()?;
    loop {
        let mut file = File::open(&path)?;
        file.lock()?;
        let metadata = file.metadata()?;
        let current = std::fs::metadata(&path)?;
        // The file that was opened may have been replaced while this process waited.
        if (metadata.dev(), metadata.ino()) == (current.dev(), current.ino()) {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            return Ok(LockedFile { content, metadata, path, _lock: file });
        }
    }
}

impl LockedFile {
    /// Replaces the file, whole or not at all. The new file has mode 0600 and the old owner: root may run
    /// the rotation for a service of another user.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let temporary = write_temporary(&self.path, text)?;
        let made = temporary.as_file().metadata()?;
        let owner = (self.metadata.uid(), self.metadata.gid());
        if (made.uid(), made.gid()) != owner {
            std::os::unix::fs::chown(temporary.path(), Some(owner.0), Some(owner.1))?;
        }
        temporary.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(&self.path)
    }
}

/// Writes the text to the disk, in a new file of the same folder. The name is random: a file that a
/// killed process left must not block the next one.
fn write_temporary(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary =
        tempfile::Builder::new().prefix("keys.").suffix(".new").tempfile_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Writes the names in the file's folder to the disk: without its name the file would be lost.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
