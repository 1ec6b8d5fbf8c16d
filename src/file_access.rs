//! Files that hold secrets or data: who can access them, how to open them without waiting for another
//! process, and how to make their names durable.
//!
//! | who can access it | `keys.json` | other files |
//! | --- | --- | --- |
//! | everyone | error | warning |
//! | another user, who owns it | warning | warning |
//! | a group | warning | accepted |
//!
//! The service creates `keys.json` with mode 0600, so any other mode is a mistake, and its secrets
//! sign tokens for every account. Access by a group gives only a warning, because Kubernetes gives
//! the files of a volume to the group `fsGroup` at each mount.
//!
//! Operators often give the service access through a group: Debian has `ssl-cert`, Kubernetes has
//! `fsGroup` with `defaultMode: 0440`. Credentials of systemd set the same bits, although only the
//! service can read them. Only the operator knows whether the group is the right one.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

/// Maximum size in bytes of a file that [`read`] returns. A device can be endless.
const MAX_BYTES: u64 = 1024 * 1024;

/// The largest set of users that can access a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    Owner,
    Group,
    /// The owner is neither root nor the user of this process. An owner can change the mode.
    AnotherUser(u32),
    Everyone,
}

impl fmt::Display for Exposure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => formatter.write_str("only its owner can access it"),
            Self::Group => formatter.write_str("a group can access it"),
            Self::AnotherUser(user) => write!(formatter, "another user, {user}, owns it"),
            Self::Everyone => formatter.write_str("everyone on this machine can access it"),
        }
    }
}

/// Returns who can access the file. The execute bits count too, because they indicate a wrong mode
/// such as 0755.
#[must_use]
pub fn exposure(metadata: &Metadata) -> Exposure {
    exposure_to(metadata.mode(), metadata.uid(), user())
}

fn exposure_to(mode: u32, owner: u32, user: u32) -> Exposure {
    if mode & OTHERS != 0 {
        Exposure::Everyone
    } else if owner != 0 && owner != user {
        Exposure::AnotherUser(owner)
    } else if mode & GROUP != 0 {
        Exposure::Group
    } else {
        Exposure::Owner
    }
}

/// Returns the ID of the user whose rights this process has.
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Opens a regular file for reading. Opening a named pipe would wait for a process that writes.
///
/// # Errors
/// If the file cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Returns the outcome of a call on a file, or `None` if there is no file.
///
/// # Errors
/// Every other error of the call.
pub fn ignore_missing<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Writes the folder of the file to the disk. Otherwise a crash could lose the new name of the file.
///
/// # Errors
/// If the folder cannot be opened or written.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a file of at most 1 MiB. It may be a pipe into which a process writes, as a shell makes it
/// for `<(command)`.
///
/// # Errors
/// If the file cannot be read or is too large, or is a pipe into which no process writes.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.file_type().is_fifo() {
        let mut start = [0; 4096];
        match file.read(&mut start) {
            Ok(0) => return Err(io::Error::other("no process writes into the pipe")),
            Ok(length) => bytes.extend(start.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // A process has the other end open, so a read that waits comes to an end.
        rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    }
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    fn make_pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn exposure_is_the_largest_set_of_users() {
        const ROOT: u32 = 0;
        const OWN: u32 = 1000;
        const OTHER: u32 = 1001;
        for (mode, owner, expected) in [
            (0o100_600, OWN, Exposure::Owner),
            (0o100_400, ROOT, Exposure::Owner),
            (0o100_640, OWN, Exposure::Group),
            (0o100_440, ROOT, Exposure::Group),
            (0o100_600, OTHER, Exposure::AnotherUser(OTHER)),
            (0o100_640, OTHER, Exposure::AnotherUser(OTHER)),
            (0o100_644, OTHER, Exposure::Everyone),
            (0o100_604, OWN, Exposure::Everyone),
            (0o100_602, ROOT, Exposure::Everyone),
        ] {
            assert_eq!(exposure_to(mode, owner, OWN), expected, "{mode:o} of {owner}");
        }
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        for name in ["file", "link"] {
            let mut text = String::new();
            open_regular(&path(name)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "text", "{name}");
        }
        make_pipe(&path("pipe"));
        for (path, problem) in [
            (path("pipe"), "not a regular file"),
            ("/dev/null".into(), "not a regular file"),
            (folder.path().to_owned(), "is a directory"),
        ] {
            let error = open_regular(&path).unwrap_err();
            assert_eq!(error.to_string(), problem, "{}", path.display());
        }
    }

    #[test]
    fn pipe_is_read_only_if_a_process_writes_into_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("pipe");
        make_pipe(&path);
        let error = read(&path).unwrap_err();
        assert_eq!(error.to_string(), "no process writes into the pipe");
        // Keeps the content of the pipe if the writer ends before the reader begins.
        let _reader = open(&path).unwrap();
        let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"first").unwrap();
        let reader = std::thread::spawn(move || read(&path));
        // The reader returns only after the last byte, however late it is.
        writer.write_all(b" last").unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap().unwrap(), b"first last");
    }

    #[test]
    fn device_is_read_up_to_the_maximum() {
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
