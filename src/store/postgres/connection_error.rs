//! Errors of opening a connection: which ones will never pass, and what the operator can do.

use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::error::is_out_of_connections;
use crate::error_chain::error_chain;
use crate::store::StoreError;

/// Every server refuses every attempt until the operator changes something.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// Whether the next attempt to connect would fail in the same way.
#[must_use]
pub fn is_refused(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(cause) if cause.is::<Refused>())
}

/// Returns the error of an attempt to connect.
pub(super) fn connecting_failed(error: OpenError) -> StoreError {
    error.error
}

/// Why a host gave no connection.
#[derive(Debug)]
pub(super) enum HostFailure {
    Driver(Error),
    /// The server is a standby, which may be stale.
    Standby,
    /// The host did not answer in time.
    Silent,
}

impl HostFailure {
    /// Whether the next attempt may succeed, although the operator changes nothing.
    pub(super) fn may_pass(&self) -> bool {
        self.cure().is_none()
    }

    fn cure(&self) -> Option<&'static str> {
        match self {
            Self::Driver(error) => cure(error),
            Self::Standby | Self::Silent => None,
        }
    }

    fn is_out_of_connections(&self) -> bool {
        match self {
            Self::Driver(error) => is_out_of_connections(error.code()),
            Self::Standby | Self::Silent => false,
        }
    }

    /// Whether the host has answered that it is no primary. The driver tells so only by its text.
    fn is_read_only(&self) -> bool {
        match self {
            Self::Driver(error) => error_chain(error).ends_with("database does not allow writes"),
            Self::Standby => true,
            Self::Silent => false,
        }
    }

    fn into_error(self) -> StoreError {
        match self {
            Self::Driver(error) => error.into(),
            Self::Standby => StoreError::unavailable("the server is a standby"),
            Self::Silent => StoreError::unavailable("the server did not answer in time"),
        }
    }

    /// Returns the causes, and the cure if there is one.
    fn describe(self) -> String {
        let cure = self.cure();
        let cause = match self.into_error() {
            StoreError::Unavailable(cause) | StoreError::Internal(cause) => error_chain(&*cause),
            other => other.to_string(),
        };
        cure.map_or(cause.clone(), |cure| format!("{cause}; {cure}"))
    }
}

impl From<Error> for HostFailure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// Why no host of an address gave a connection.
#[derive(Debug)]
pub(super) struct OpenError {
    is_out_of_connections: bool,
    may_pass: bool,
    error: StoreError,
}

impl OpenError {
    /// Takes the failure of each host, or `None` for a host that did not answer.
    pub(super) fn new(hosts: &[String], failures: Vec<Option<HostFailure>>) -> Self {
        let failures: Vec<_> =
            failures.into_iter().map(|failure| failure.unwrap_or(HostFailure::Silent)).collect();
        // A full server beside one that is lost may be a standby.
        let is_out_of_connections = failures.iter().any(HostFailure::is_out_of_connections)
            && failures.iter().all(|host| host.is_out_of_connections() || host.is_read_only());
        let may_pass = failures.iter().any(HostFailure::may_pass);
        let error = match <[HostFailure; 1]>::try_from(failures) {
            Ok([HostFailure::Standby]) => StoreError::unavailable(
                "the server is a standby; name the primary, or all hosts, in DATABASE_URL or \
                 DATABASE_HOSTNAME",
            ),
            Ok([failure]) if may_pass => failure.into_error(),
            Ok([failure]) => StoreError::unavailable(Refused(failure.describe())),
            Err(failures) => {
                let named = hosts.iter().zip(failures);
                let named = named.map(|(host, failure)| format!("{host}: {}", failure.describe()));
                let causes = named.collect::<Vec<_>>().join("; ");
                if may_pass {
                    StoreError::unavailable(causes)
                } else {
                    StoreError::unavailable(Refused(causes))
                }
            }
        };
        Self { is_out_of_connections, may_pass, error }
    }

    /// Whether a failover can be the cause.
    pub(super) fn is_failover(&self) -> bool {
        self.may_pass && !self.is_out_of_connections
    }

    /// Whether a server, a database, a role or a pooler has no connection left.
    pub(super) fn is_out_of_connections(&self) -> bool {
        self.is_out_of_connections
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            StoreError::Unavailable(cause) | StoreError::Internal(cause) => cause.fmt(formatter),
            other => other.fmt(formatter),
        }
    }
}

impl std::error::Error for OpenError {}

/// Returns what ends an error that does not pass by itself.
fn cure(error: &Error) -> Option<&'static str> {
    const LOGIN: &str = "check the role and its password in DATABASE_URL, or in DATABASE_USERNAME \
                         and DATABASE_PASSWORD";
    const DATABASE: &str =
        "create the database, or correct its name in DATABASE_URL or DATABASE_NAME";
    const ACCESS: &str = "let the role log in, and allow the role, the database, this client and its \
                          use of TLS in pg_hba.conf";
    const CONNECT: &str = "GRANT CONNECT ON DATABASE to the role";
    let Some(state) = error.code() else { return cure_of_driver(error) };
    let cures = [
        (SqlState::INVALID_PASSWORD, LOGIN),
        (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, ACCESS),
        (SqlState::INVALID_CATALOG_NAME, DATABASE),
        (SqlState::INSUFFICIENT_PRIVILEGE, CONNECT),
    ];
    cures.into_iter().find(|(known, _)| known == state).map(|(_, cure)| cure)
}

/// Returns the cure of an error that the server did not send. The driver tells the kinds apart only
/// by its texts.
fn cure_of_driver(error: &Error) -> Option<&'static str> {
    const TLS: &str = "turn on TLS in the server, or allow a connection without TLS with \
                       sslmode=prefer";
    const CERTIFICATE: &str = "name the authority of the server's certificate in sslrootcert, and a \
                               host of the certificate, or lower sslmode";
    const PASSWORD: &str =
        "give a password in DATABASE_URL or DATABASE_PASSWORD, in PGPASSWORD or in ~/.pgpass";
    const BINDING: &str =
        "use TLS and a password with scram-sha-256, or set channel_binding=prefer";
    const METHOD: &str = "use a password with scram-sha-256 for the role in pg_hba.conf";
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let is_rejected_certificate = causes.into_iter().any(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let error = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(error, Some(rustls::Error::InvalidCertificate(_)))
    });
    let text = error_chain(error);
    if is_rejected_certificate {
        Some(CERTIFICATE)
    } else if text.ends_with("server does not support TLS") {
        Some(TLS)
    } else if text.ends_with("password missing") {
        Some(PASSWORD)
    } else if text.ends_with("server did not use channel binding") {
        Some(BINDING)
    } else if text.starts_with("authentication error") {
        Some(METHOD)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio_postgres::{Config, NoTls};

    use super::*;

    /// Returns the failure of a server that refuses the connection with this SQLSTATE.
    async fn refusing(state: &str) -> HostFailure {
        let (client, mut server) = tokio::io::duplex(1024);
        let fields = format!("SFATAL\0C{state}\0Mrefused\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        let message = [&b"E"[..], &length, fields.as_bytes()].concat();
        server.write_all(&message).await.unwrap();
        let connected = Config::new().user("ada").connect_raw(client, NoTls).await;
        connected.map(drop).unwrap_err().into()
    }

    /// A full server beside one that is lost may be the standby that is promoted next.
    #[tokio::test]
    async fn connections_are_used_up_only_if_no_host_is_lost() {
        let (full, starting) = ("53300", "57P03");
        for (failures, is_out, is_failover) in [
            (vec![refusing(full).await], true, false),
            (vec![refusing(full).await, HostFailure::Standby], true, false),
            (vec![refusing(full).await, refusing(full).await], true, false),
            (vec![refusing(full).await, HostFailure::Silent], false, true),
            (vec![refusing(full).await, refusing(starting).await], false, true),
            (vec![HostFailure::Standby, HostFailure::Silent], false, true),
        ] {
            let hosts = vec!["host".to_owned(); failures.len()];
            let text = format!("{failures:?}");
            let error = OpenError::new(&hosts, failures.into_iter().map(Some).collect());
            assert_eq!(
                (error.is_out_of_connections(), error.is_failover()),
                (is_out, is_failover),
                "{text}"
            );
        }
    }
}
