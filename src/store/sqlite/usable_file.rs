//! Checks that a path can be that of a database, before SQLite opens it. SQLite's errors name neither
//! the path nor what is there.
//!
//! Not here: whether the log belongs to the file, see `commit_id`.

use std::fs::Metadata;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use super::wal::companion;
use crate::file_access::{open_regular, user};
use crate::store::migrate::MigrateError;

/// The beginning of every SQLite file (<https://www.sqlite.org/fileformat.html#magic_header_string>).
const MAGIC: [u8; 16] = *b"SQLite format 3\0";

const ANOTHER_FILE: &str = "name another file in DATABASE_URL, or another folder in DATA_DIR";

/// Checks that the path is that of an SQLite file, of an empty file or of no file. Call it before the
/// first connection: closing a file releases the locks of all connections of this process.
///
/// # Errors
/// [`MigrateError::UnusableFile`] if the path or that of a file beside it is something else, or cannot
/// be accessed. SQLite would wait for a process that writes into a named pipe.
pub(super) fn check(path: &Path) -> Result<(), MigrateError> {
    for ending in ["-wal", "-shm", "-journal"] {
        let companion = companion(path, ending);
        if let Some(metadata) = metadata(&companion)? {
            check_kind(&companion, &metadata)?;
        }
    }
    let Some(metadata) = metadata(path)? else {
        return Ok(());
    };
    check_kind(path, &metadata)?;
    let mut start = Vec::new();
    let file = open_regular(path).map_err(|error| inaccessible(path, "read", &error))?;
    file.take(16).read_to_end(&mut start).map_err(|error| inaccessible(path, "read", &error))?;
    if start.is_empty() || start == MAGIC {
        return Ok(());
    }
    let hint = format!("{ANOTHER_FILE}; if it was one, restore a backup with `post-api restore`");
    Err(unusable(path, "is not an SQLite database", hint))
}

/// Describes why the file could not be created.
pub(super) fn not_created(path: &Path, error: &io::Error) -> MigrateError {
    if error.kind() == ErrorKind::NotFound {
        let hint = format!("create the folder, or {ANOTHER_FILE}");
        return unusable(path, "cannot be created, because its folder does not exist", hint);
    }
    inaccessible(path, "created", error)
}

/// Returns `None` if there is no file.
fn metadata(path: &Path) -> Result<Option<Metadata>, MigrateError> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(inaccessible(path, "accessed", &error))
        }
        Err(_) if path.is_symlink() => {
            Err(unusable(path, "is a link to a file that does not exist", ANOTHER_FILE))
        }
        Err(_) => Ok(None),
    }
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), MigrateError> {
    let kind = metadata.file_type();
    let problem = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "is a folder",
        () if kind.is_fifo() => "is a named pipe",
        () => "is not a regular file",
    };
    Err(unusable(path, problem, ANOTHER_FILE))
}

fn inaccessible(path: &Path, action: &str, error: &io::Error) -> MigrateError {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "give the user of the service, {}, access to the file and its folder, or {ANOTHER_FILE}",
            user()
        ),
        _ => ANOTHER_FILE.to_owned(),
    };
    unusable(path, format!("cannot be {action}: {error}"), hint)
}

fn unusable(path: &Path, problem: impl Into<String>, hint: impl Into<String>) -> MigrateError {
    let path = path.display().to_string();
    MigrateError::UnusableFile { path, problem: problem.into(), hint: hint.into() }
}
