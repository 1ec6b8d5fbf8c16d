//! TLS to a PostgreSQL server, as `sslmode` requires. The driver adds channel binding.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Roots, Trust};
use crate::store::{Result, StoreError};
use crate::tls_verifier::TlsVerifier;

/// Returns the TLS connector for servers whose certificate `trust` accepts.
///
/// # Errors
/// If the trusted certificates cannot be read.
pub(super) fn connector(trust: &Trust) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(StoreError::internal)?;
    let config = match trust {
        Trust::Host(roots) => builder.with_root_certificates(load(roots)?).with_no_client_auth(),
        Trust::Authority(roots) => {
            let verifier = TlsVerifier::any_name(load(roots)?, &provider)
                .map(Arc::new)
                .map_err(StoreError::unavailable)?;
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
        Trust::AnyCertificate => {
            let verifier = Arc::new(TlsVerifier::any_certificate(&provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn load(roots: &Roots) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Native => {
            let found = rustls_native_certs::load_native_certs();
            for error in found.errors {
                tracing::warn!(%error, "system certificate unreadable");
            }
            store.add_parsable_certificates(found.certs);
        }
        Roots::File(path) => {
            for certificate in read_pem(path)? {
                store.add(certificate).map_err(StoreError::unavailable)?;
            }
        }
    }
    if store.is_empty() {
        return Err(StoreError::unavailable("found no certificate of a trusted authority"));
    }
    Ok(store)
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error| {
        StoreError::unavailable(format!("could not read sslrootcert {}: {error}", path.display()))
    };
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)
}
