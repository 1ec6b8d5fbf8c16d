//! The key of a database, from which the service derives further keys.

use std::fmt;

/// Length of an [`InstallationKey`] in bytes.
pub const INSTALLATION_KEY_LENGTH: usize = 32;

/// A random key that the database has kept since its installation. It is the same in every process,
/// and does not change with the signing keys. A copy of the database has it too, so it must protect
/// nothing from someone who has the data.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationKey(pub [u8; INSTALLATION_KEY_LENGTH]);

impl fmt::Debug for InstallationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InstallationKey(..)")
    }
}
