//! The permissions of files with secrets: `keys.json`, the files that settings name, and the
//! private key of TLS.
//!
//! | who can access it | `keys.json` | files of the operator |
//! | --- | --- | --- |
//! | everyone | error | warning |
//! | a group | warning | accepted |
//!
//! The service creates `keys.json` with mode 0600, so any other mode is a mistake, and its secrets
//! sign tokens for every account. Access by a group gives only a warning, because Kubernetes gives
//! the files of a volume to the group `fsGroup` at each mount.
//!
//! Operators often give the service access through a group: Debian has `ssl-cert`, Kubernetes has
//! `fsGroup` with `defaultMode: 0440`. Credentials of systemd set the same bits, although only the
//! service can read them. Only the operator knows whether the group is the right one.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt as _;

const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

/// The largest set of users that can access a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    Owner,
    Group,
    Everyone,
}

/// Returns who can access the file. The execute bits count too, because they indicate a wrong mode
/// such as 0755.
#[must_use]
pub fn exposure(metadata: &Metadata) -> Exposure {
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        Exposure::Everyone
    } else if mode & GROUP != 0 {
        Exposure::Group
    } else {
        Exposure::Owner
    }
}
