//! The file of a backup that is not yet verified.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::BackupError;
use crate::store::sqlite::wal::with_suffix;

const ENDINGS: [&str; 3] = ["", "-journal", "-wal"];

/// An empty file that only this process fills. It is removed when this value is dropped, unless it
/// has got another name.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    /// Locked: two backups with one name must not write into one file.
    pub(super) file: File,
    is_renamed: bool,
}

impl Partial {
    /// Creates the file, or empties one that a killed process has left.
    pub(super) fn create(target: &Path) -> Result<Self, BackupError> {
        let path = with_suffix(target, ".partial");
        let failed = |error| BackupError::file("create", &path)(error);
        let file = open(&path, true).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let hint = "wait for the end of the other backup";
                return Err(BackupError::path(&path, "is being written", hint));
            }
            // The file system has no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let private = Permissions::from_mode(0o600);
        let failed = |error| BackupError::file("create", &path)(error);
        file.set_permissions(private).and_then(|()| file.set_len(0)).map_err(failed)?;
        Ok(Self { path, file, is_renamed: false })
    }

    /// Gives the file its name. Call it after the file is on the disk.
    pub(super) fn rename(mut self, target: &Path, may_replace: bool) -> io::Result<()> {
        if may_replace {
            std::fs::rename(&self.path, target)?;
        } else {
            rename_new(&self.path, target)?;
        }
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_renamed {
            remove(&self.path);
        }
    }
}

/// Renames a file unless another process has made one of the new name meanwhile.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system, such as NFS, cannot do both in one step.
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => {
            std::fs::rename(from, to)
        }
        outcome => Ok(outcome?),
    }
}

fn open(path: &Path, can_create: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(can_create).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn remove(path: &Path) {
    for ending in ENDINGS {
        let _ = std::fs::remove_file(with_suffix(path, ending));
    }
}

/// Removes the file that a killed process has left, unless a process still writes it.
pub fn remove_partial(partial: &Path) {
    if open(partial, false).is_ok_and(|file| file.try_lock().is_ok()) {
        remove(partial);
    }
}
