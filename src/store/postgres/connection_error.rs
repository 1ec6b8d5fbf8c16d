//! Errors of opening a connection: which ones will never pass, and what the operator can do.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::error_chain::error_chain;
use crate::store::StoreError;

/// The server refuses every attempt until the operator changes something.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {cure}")]
struct Refused {
    cause: String,
    cure: &'static str,
}

/// Whether the next attempt to connect would fail in the same way.
#[must_use]
pub fn is_refused(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(cause) if cause.is::<Refused>())
}

/// Returns the error of an attempt to connect.
pub(super) fn connecting_failed(error: Error) -> StoreError {
    let Some(cure) = cure(&error) else { return error.into() };
    let cause = match StoreError::from(error) {
        StoreError::Unavailable(cause) | StoreError::Internal(cause) => error_chain(&*cause),
        other => other.to_string(),
    };
    StoreError::unavailable(Refused { cause, cure })
}

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
