//! Warns about files with secrets or data that other users of the machine can access.

use std::path::Path;

use super::definitions as row;
use super::{Database, SettingError, Settings};
use crate::file_access::{Exposure, exposure};

impl Settings {
    /// Returns a warning for each file of the embedded database that others can access, and for the
    /// data folder if everyone can write to it. Call it once the database is open, because SQLite
    /// creates its log then.
    #[must_use]
    pub fn exposed_data(&self) -> Vec<SettingError> {
        let mut warnings: Vec<_> = exposed_folder(&self.data_dir).into_iter().collect();
        if let Database::Sqlite(path) = &self.database {
            let is_in_data_dir = path.parent() == Some(&self.data_dir);
            let setting = if is_in_data_dir { &row::DATA_DIR } else { &row::DATABASE_URL };
            for ending in ["", "-wal", "-shm"] {
                let mut file = path.clone().into_os_string();
                file.push(ending);
                warnings.extend(exposed_file(Path::new(&file), setting.name));
            }
        }
        warnings
    }
}

/// Returns a warning if others can access the file. A file that cannot be examined gives no warning
/// here: reading it later gives an error. Other users cannot access the pipe of a shell, with
/// any mode.
pub(super) fn exposed_file(path: &Path, name: &str) -> Option<SettingError> {
    let metadata = std::fs::metadata(path).ok()?;
    let exposure = metadata.is_file().then(|| exposure(&metadata))?;
    let hint = match exposure {
        Exposure::Owner | Exposure::Group => return None,
        Exposure::AnotherUser(_) => "give the file to the user of the service",
        Exposure::Everyone => "make its mode 0600, or 0640 for a group of the service's own",
    };
    let problem = format!("{}: {exposure}", path.display());
    Some(SettingError::new(name, problem, hint))
}

/// In a folder that everyone can write to, everyone can replace the files.
fn exposed_folder(path: &Path) -> Option<SettingError> {
    use std::os::unix::fs::MetadataExt as _;
    const WRITE: u32 = 0o002;
    let metadata = std::fs::metadata(path).ok()?;
    let problem = match exposure(&metadata) {
        Exposure::AnotherUser(owner) => format!("another user, {owner}, owns it"),
        Exposure::Everyone if metadata.mode() & WRITE != 0 => {
            "everyone on this machine can write to it".to_owned()
        }
        _ => return None,
    };
    let hint = "give it to the user of the service, with mode 0700";
    Some(SettingError::new(row::DATA_DIR.name, format!("{}: {problem}", path.display()), hint))
}
