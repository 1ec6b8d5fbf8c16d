//! Warns about files with secrets that everyone can access.

use std::path::Path;

use super::SettingError;
use crate::key_store::{Exposure, exposure};

/// Returns a warning if everyone can access the secret file that the setting names. A file that
/// cannot be examined gives no warning here: reading it later gives an error.
pub(super) fn exposed_file(path: &Path, name: &str) -> Option<SettingError> {
    let metadata = std::fs::metadata(path).ok()?;
    let is_exposed = exposure(&metadata) == Exposure::Everyone;
    is_exposed.then(|| {
        let problem =
            format!("everyone on this machine can access the secret in {}", path.display());
        let hint = "make its mode 0600, or 0640 for a group of the service's own";
        SettingError::new(name, problem, hint)
    })
}
