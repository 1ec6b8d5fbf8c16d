//! The check of the files with secrets and data: who can access them, and whether the service can.

use std::path::Path;

use rustix::fs::{Access, access};

use super::settings::{describe_warnings, is_about_access};
use crate::config::{Database, Settings};
use crate::file_access;
use crate::store::inspection::Finding;

/// Checks `.env`, the files of secrets, the key of TLS, the data folder and the database.
pub(super) fn check_access(settings: &Settings) -> Finding {
    if let Some(finding) = find_uncreatable(settings).or_else(|| find_inaccessible(settings)) {
        return finding;
    }
    let mut warnings: Vec<_> =
        settings.warnings.iter().filter(|warning| is_about_access(warning)).cloned().collect();
    warnings.extend(settings.exposed_data());
    describe_warnings(&warnings)
        .unwrap_or_else(|| Finding::ok("only the service can access its secrets and data"))
}

/// Returns a failure if the first start could not create the folder or the file of the embedded
/// database. The service creates `DATA_DIR` with its parents, and no other folder.
fn find_uncreatable(settings: &Settings) -> Option<Finding> {
    let Database::Sqlite(database) = &settings.database else {
        return None;
    };
    let folder = parent_of(database);
    if !folder.exists() && !folder.starts_with(&settings.data_dir) {
        let detail = format!("{}: there is no such folder", folder.display());
        return Some(Finding::fail(detail, "create it for the user of the service"));
    }
    [settings.data_dir.as_path(), folder].into_iter().find_map(find_unusable_folder)
}

/// Returns a failure if the folder, or the nearest one above it that exists, is not a folder in which
/// this user can create files.
fn find_unusable_folder(folder: &Path) -> Option<Finding> {
    // A dangling link exists, although nothing is there.
    let nearest = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    let nearest = nearest.unwrap_or(Path::new("."));
    let problem = if !nearest.is_dir() {
        "it is not a folder"
    } else if access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        "the user of this command cannot create files in it"
    } else {
        return None;
    };
    let cure = format!("make {} a folder of the service's user, or name another", folder.display());
    Some(Finding::fail(format!("{}: {problem}", nearest.display()), cure))
}

fn parent_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Returns a failure for the first file of the database, or its folder, that this user cannot read
/// and write. SQLite writes to the file, its log and its index, and creates both in the folder.
fn find_inaccessible(settings: &Settings) -> Option<Finding> {
    let Database::Sqlite(database) = &settings.database else {
        return None;
    };
    let folder = parent_of(database);
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
