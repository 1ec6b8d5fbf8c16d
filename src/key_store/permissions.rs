//! The one rule on who may access a file with a secret: `keys.json`, the files that settings name, and the
//! private key of TLS.
//!
//! | access | `keys.json` | files of the operator |
//! | --- | --- | --- |
//! | everyone | error | warning |
//! | a group | warning | accepted |
//!
//! The service creates `keys.json` with mode 0600, so any other mode is a mistake, and its secrets sign
//! tokens for every account. A group is only warned about, because Kubernetes gives the files of a volume
//! to the group `fsGroup` at each mount.
//!
//! Files of the operator are often handed over by a group: Debian's `ssl-cert`, Kubernetes' `fsGroup` with
//! `defaultMode: 0440`. A grant of systemd's credentials to only the service shows in the same bits. Only
//! the operator knows whether the group is the right one.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt as _;

const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

/// The widest circle of users that can access a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    Owner,
    Group,
    Everyone,
}

/// Returns who can access the file. Any bit counts: even an executable secret comes from a mode such as
/// 0755.
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
