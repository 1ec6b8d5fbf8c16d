//! Warns about connections with other machines without TLS, and about metrics that others can read.
//! The service allows both.

use std::net::IpAddr;

use super::definitions as row;
use super::{SettingError, Settings};
use crate::store::postgres::Address;

impl Settings {
    /// Returns a warning if other machines can connect to this address without TLS. If a trusted
    /// proxy is on another machine, it is expected to terminate TLS, so there is no warning. A
    /// proxy on this machine needs only a loopback address.
    #[must_use]
    pub fn plaintext_listener(&self, address: IpAddr) -> Option<SettingError> {
        const PROBLEM: &str =
            "lets other machines connect without TLS, and send passwords and tokens in plain text";
        const HINT: &str =
            "set TLS_CERT and TLS_KEY, or name the proxy that does TLS in TRUSTED_PROXIES";
        let is_local = address.to_canonical().is_loopback();
        let is_plain = self.tls.is_none() && !self.trusted_proxies.includes_remote() && !is_local;
        is_plain.then(|| SettingError::new(row::HOST.name, PROBLEM, HINT))
    }

    /// Returns a warning if machines outside of a private network may read the metrics.
    #[must_use]
    pub fn public_metrics(&self) -> Option<SettingError> {
        const PROBLEM: &str = "lets every machine that reaches this address read the metrics: how \
                               much the service is used, and where it is slow";
        const HINT: &str = "give a loopback address, or an address of a private network";
        let address = self.metrics_address?.ip();
        (!is_private(address)).then(|| SettingError::new(row::METRICS_ADDRESS.name, PROBLEM, HINT))
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Returns a warning if the connection to a database on another machine may be without TLS.
pub(super) fn plaintext_to_database(address: &Address, name: &str) -> Option<SettingError> {
    const PROBLEM: &str = "leads to another machine and allows a connection without TLS, which also \
                           shows the database's password";
    const HINT: &str = "set DATABASE_URL with sslmode=verify-full";
    address.allows_plaintext().then(|| SettingError::new(name, PROBLEM, HINT))
}
