//! What leaves the machine without TLS: it is served nevertheless, and said.

use std::net::IpAddr;

use super::{SettingError, Settings};
use crate::store::postgres::Address;

impl Settings {
    /// What is wrong with serving at this address, if others can read what is said there. Where there is
    /// a proxy to be trusted on another machine, it is taken to do TLS; for one on this machine no other
    /// address is needed.
    #[must_use]
    pub fn warning_at(&self, address: IpAddr) -> Option<SettingError> {
        const PROBLEM: &str = "lets other machines connect, and what they send comes without TLS, \
                               passwords and tokens too";
        const CURE: &str =
            "give TLS_CERT and TLS_KEY, or name the proxy that does TLS in TRUSTED_PROXIES";
        let is_here = address.to_canonical().is_loopback();
        let is_bare = self.tls.is_none() && !self.trusted_proxies.includes_remote() && !is_here;
        is_bare.then(|| SettingError::new("HOST", PROBLEM, CURE))
    }
}

/// The same for the way to a database, of the setting that names it.
pub(super) fn warning_to(address: &Address, name: &str) -> Option<SettingError> {
    const PROBLEM: &str = "leads to another machine, and what is said to it may go without TLS, the \
                           database's password too";
    const CURE: &str = "give DATABASE_URL with sslmode=verify-full";
    address.allows_plaintext().then(|| SettingError::new(name, PROBLEM, CURE))
}
