//! TLS to a PostgreSQL server, as `sslmode` requires. The driver adds channel binding.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Certificate, Roots, Tls, Trust};
use crate::file_access;
use crate::store::{Result, StoreError};
use crate::tls_verifier::TlsVerifier;

/// A certificate chain and its private key.
type KeyPair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Returns the TLS connector for servers whose certificate `tls` accepts.
///
/// # Errors
/// If a certificate or a key cannot be used.
pub(super) fn connector(tls: &Tls) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&tls.versions)
        .map_err(StoreError::internal)?;
    let builder = match &tls.trust {
        Trust::Host(roots) => builder.with_root_certificates(load(roots)?),
        Trust::Authority(roots) => {
            let verifier = TlsVerifier::any_name(load(roots)?, &provider)
                .map(Arc::new)
                .map_err(StoreError::unavailable)?;
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
        Trust::AnyCertificate => {
            let verifier = Arc::new(TlsVerifier::any_certificate(&provider));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = read_key_pair(files).map_err(StoreError::unavailable)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                StoreError::unavailable(unusable("sslcert", &files.chain, &error))
            })?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Checks the files that an address names. Those of the operating system may come later.
///
/// # Errors
/// The parameter, the file, and why it cannot be used.
pub(super) fn check_files(tls: &Tls) -> std::result::Result<(), String> {
    if let Trust::Authority(Roots::File(path)) | Trust::Host(Roots::File(path)) = &tls.trust {
        read_roots(path)?;
    }
    if let Some(files) = &tls.certificate {
        let (chain, key) = read_key_pair(files)?;
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&tls.versions)
            .and_then(|builder| {
                let roots = RootCertStore::empty();
                builder.with_root_certificates(roots).with_client_auth_cert(chain, key)
            })
            .map_err(|error| unusable("sslcert", &files.chain, &error))?;
    }
    Ok(())
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
        Roots::File(path) => store = read_roots(path).map_err(StoreError::unavailable)?,
    }
    if store.is_empty() {
        return Err(StoreError::unavailable("found no certificate of a trusted authority"));
    }
    Ok(store)
}

fn read_roots(path: &Path) -> std::result::Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in read_chain("sslrootcert", path)? {
        store.add(certificate).map_err(|error| unusable("sslrootcert", path, &error))?;
    }
    Ok(store)
}

fn read_key_pair(files: &Certificate) -> std::result::Result<KeyPair, String> {
    let chain = read_chain("sslcert", &files.chain)?;
    check_mode(&files.key)?;
    let bytes = read("sslkey", &files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let path = files.key.display();
            format!("sslkey {path} has no private key in PEM without a password")
        }
        error => unusable("sslkey", &files.key, &error),
    })?;
    Ok((chain, key))
}

/// Refuses a key that others can access, as libpq does: the mode is at most 0600, or 0640 if the
/// owner is root.
fn check_mode(path: &Path) -> std::result::Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| unusable("sslkey", path, &error))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if !metadata.is_file() {
        Err(format!("sslkey {} is no file", path.display()))
    } else if metadata.permissions().mode() & forbidden != 0 {
        Err(format!("sslkey {} can be accessed by others; make its mode 0600", path.display()))
    } else {
        Ok(())
    }
}

fn read_chain(
    parameter: &str,
    path: &Path,
) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(parameter, path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<std::result::Result<_, pem::Error>>()
        .map_err(|error| unusable(parameter, path, &error))?;
    if certificates.is_empty() {
        return Err(format!("{parameter} {} has no certificate in PEM", path.display()));
    }
    Ok(certificates)
}

fn read(parameter: &str, path: &Path) -> std::result::Result<Vec<u8>, String> {
    file_access::read(path).map_err(|error| unusable(parameter, path, &error))
}

fn unusable(parameter: &str, path: &Path, error: &dyn std::error::Error) -> String {
    format!("{parameter} {} cannot be used: {error}", path.display())
}
