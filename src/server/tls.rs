//! TLS of the listener. Its certificate comes from files that may be replaced while the service
//! runs. It supports TLS 1.2 and 1.3, because rustls supports no older version.
//!
//! Not here: when the files are read again, see `tls_reload.rs`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{Accept, TlsAcceptor};

use crate::file_access::open_regular;

/// The protocols that ALPN offers, in order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate and the key in use.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// The configuration for new connections. A connection keeps the one that its handshake used.
    config: RwLock<Arc<ServerConfig>>,
    /// The last reading, even if it was invalid. So a fault of the files is reported only once.
    last_read: Mutex<LastRead>,
}

type Hash = [u8; 32];

/// The content of the two files.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum LastRead {
    /// The hash of both files.
    Content(Hash),
    /// Why a file could not be read.
    Unreadable(String),
}

/// Why a file cannot be used. The error texts never contain the content of the file.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTls {
    #[error("the certificate {0}")]
    Certificate(String),
    #[error("the certificate's key {0}")]
    Key(String),
}

impl Tls {
    /// Reads the certificate chain and its private key, both PEM.
    ///
    /// # Errors
    /// [`UnusableTls`] if a file cannot be read, or the key does not match the certificate.
    pub fn open(certificate: PathBuf, key: PathBuf) -> Result<Self, UnusableTls> {
        let (certificate_pem, key_pem) = (read_certificate(&certificate)?, read_key(&key)?);
        let config = configure(&certificate_pem, &key_pem)?;
        let last_read = LastRead::Content(hash(&certificate_pem, &key_pem));
        Ok(Self {
            certificate,
            key,
            config: RwLock::new(Arc::new(config)),
            last_read: Mutex::new(last_read),
        })
    }

    /// Like [`Tls::reload`], if the files have changed since they were last read. Returns `None` if
    /// they have not: their content is the same, or they cannot be read for the same reason.
    pub fn reload_if_changed(&self) -> Option<Result<(), UnusableTls>> {
        let files = self.read_files();
        self.is_new(&files).then(|| self.use_files(files))
    }

    /// Reads the files again and uses them for new connections.
    ///
    /// # Errors
    /// [`UnusableTls`] as in [`Tls::open`]; the old certificate stays in use.
    pub fn reload(&self) -> Result<(), UnusableTls> {
        let files = self.read_files();
        self.is_new(&files);
        self.use_files(files)
    }

    fn read_files(&self) -> Result<Files, UnusableTls> {
        Ok(Files { certificate: read_certificate(&self.certificate)?, key: read_key(&self.key)? })
    }

    /// Remembers what was read, and returns whether it differs from what was read before.
    fn is_new(&self, files: &Result<Files, UnusableTls>) -> bool {
        let read = match files {
            Ok(files) => LastRead::Content(hash(&files.certificate, &files.key)),
            Err(error) => LastRead::Unreadable(error.to_string()),
        };
        let mut last_read = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *last_read != read;
        *last_read = read;
        is_new
    }

    fn use_files(&self, files: Result<Files, UnusableTls>) -> Result<(), UnusableTls> {
        let Files { certificate, key } = files?;
        let config = Arc::new(configure(&certificate, &key)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Starts a handshake. The caller must apply a timeout.
    pub(super) fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Accept<S> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream)
    }
}

fn read_certificate(path: &Path) -> Result<Vec<u8>, UnusableTls> {
    read_regular(path).map_err(|error| UnusableTls::Certificate(unreadable(path, &error)))
}

fn read_key(path: &Path) -> Result<Vec<u8>, UnusableTls> {
    read_regular(path).map_err(|error| UnusableTls::Key(unreadable(path, &error)))
}

/// The files are read again whenever they change, which is impossible with a pipe.
fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

fn hash(certificate: &[u8], key: &[u8]) -> Hash {
    let hashes = [certificate, key].map(Sha256::digest);
    Sha256::digest(hashes.concat()).into()
}

fn configure(certificate: &[u8], key: &[u8]) -> Result<ServerConfig, UnusableTls> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| UnusableTls::Certificate("is no PEM".to_owned()))?;
    if certificates.is_empty() {
        return Err(UnusableTls::Certificate("is not in its file".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        UnusableTls::Key("is not in its file, as PEM that is not encrypted".to_owned())
    })?;
    let refused = |error: Error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            UnusableTls::Key("is that of another certificate".to_owned())
        }
        Error::InvalidCertificate(_) => UnusableTls::Certificate(format!("is none: {error}")),
        error => UnusableTls::Key(format!("cannot be used: {error}")),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(refused)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // The service chooses the cipher suite, not the client.
    config.ignore_client_order = true;
    Ok(config)
}
