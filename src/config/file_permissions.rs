//! Files with secrets that too many can read: taken nevertheless, and said.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::SettingError;

/// Whoever is neither the owner nor of the group, to read or to write. A group is how such files are
/// handed over: Debian's `ssl-cert`, Kubernetes' `fsGroup` with `defaultMode: 0440`; and with systemd's
/// credentials what is granted to the service alone shows in the same bits. Whether it is the right group only
/// the operator knows.
const STRANGERS: u32 = 0o006;

/// What is wrong with the file of a secret that the setting names. One that cannot be looked at is told
/// about where it is read.
pub(super) fn warning_of(path: &Path, name: &str) -> Option<SettingError> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let is_open = mode & STRANGERS != 0;
    is_open.then(|| {
        let problem = format!("everybody on the machine can use the secret in {}", path.display());
        SettingError::new(
            name,
            problem,
            "make its mode 0600, or 0640 for a group of the service's own",
        )
    })
}
