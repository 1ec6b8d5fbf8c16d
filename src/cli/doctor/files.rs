//! The check of the files with secrets and data: who can access them, and whether the service can.

use std::path::Path;

use rustix::fs::{Access, access};

use super::settings::{describe_warnings, is_about_access};
use crate::config::{Database, Settings};
use crate::file_access;
use crate::store::inspection::Finding;

/// Checks `.env`, the files of secrets, the key of TLS, the data folder and the database.
pub(super) fn check_access(settings: &Settings) -> Finding {
    if let Some(finding) = find_inaccessible(settings) {
        return finding;
    }
    let mut warnings: Vec<_> =
        settings.warnings.iter().filter(|warning| is_about_access(warning)).cloned().collect();
    warnings.extend(settings.exposed_data());
    describe_warnings(&warnings)
        .unwrap_or_else(|| Finding::ok("only the service can access its secrets and data"))
}

/// Returns a failure for the first file of the database, or its folder, that this user cannot read
/// and write. SQLite writes to the file, its log and its index, and creates both in the folder.
fn find_inaccessible(settings: &Settings) -> Option<Finding> {
    let Database::Sqlite(database) = &settings.database else {
        return None;
    };
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let with_ending = |ending: &str| {
        let mut path = database.clone().into_os_string();
        path.push(ending);
        path.into()
    };
    let files = [folder.to_owned(), database.clone(), with_ending("-wal"), with_ending("-shm")];
    let is_denied = |path: &&std::path::PathBuf| {
        path.exists() && access(path.as_path(), Access::READ_OK | Access::WRITE_OK).is_err()
    };
    let denied = files.iter().find(is_denied)?;
    let user = file_access::user();
    Some(Finding::fail(
        format!("{}: the user of this command, {user}, cannot read and write it", denied.display()),
        "run the command as the user of the service; give this user the file and its folder",
    ))
}
