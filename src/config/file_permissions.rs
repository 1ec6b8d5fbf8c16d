//! Warns about files with secrets that everyone can access.

use std::path::Path;

use super::SettingError;
use crate::key_store::{Exposure, exposure};

/// Returns what is wrong with the file of a secret that the setting names. A file that cannot be examined
/// is reported when it is read.
pub(super) fn warning_of(path: &Path, name: &str) -> Option<SettingError> {
    let metadata = std::fs::metadata(path).ok()?;
    let is_open = exposure(&metadata) == Exposure::Everyone;
    is_open.then(|| {
        let problem =
            format!("everyone on this machine can access the secret in {}", path.display());
        SettingError::new(
            name,
            problem,
            "make its mode 0600, or 0640 for a group of the service's own",
        )
    })
}
