//! Certificates for tests, and TLS clients that trust only one of them.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedCipherSuite,
    SupportedProtocolVersion,
};

/// The time for one read, on a machine that is busy with other tests.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Certificate {
    pub pem: String,
    pub key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Generates a self-signed certificate for `localhost` and 127.0.0.1.
    pub fn generate() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let generated = rcgen::generate_simple_self_signed(names).unwrap();
        let (pem, key) = (generated.cert.pem(), generated.signing_key.serialize_pem());
        Self { pem, key, der: generated.cert.der().clone() }
    }

    /// Writes both files and returns their paths: the certificate, then its key.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, &self.pem).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        (certificate, key)
    }

    pub fn client(
        &self,
        protocol: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        self.client_with_provider(rustls::crypto::ring::default_provider(), protocol, versions)
    }

    /// Like [`Self::client`], with other ciphers.
    fn client_with_provider(
        &self,
        provider: CryptoProvider,
        protocol: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        if !protocol.is_empty() {
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        }
        Arc::new(config)
    }

    /// Connects with TLS. Fails if the server does not present this certificate.
    pub fn connect(&self, address: SocketAddr) -> io::Result<SecureWire> {
        self.connect_with_versions(address, rustls::DEFAULT_VERSIONS)
    }

    pub fn connect_with_versions(
        &self,
        address: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<SecureWire> {
        Self::shake_hands(address, self.client("http/1.1", versions))
    }

    /// Connects with these ciphers, in order of preference.
    pub fn connect_with_ciphers(
        &self,
        address: SocketAddr,
        cipher_suites: Vec<SupportedCipherSuite>,
        version: &'static SupportedProtocolVersion,
    ) -> io::Result<SecureWire> {
        let provider = CryptoProvider { cipher_suites, ..rustls::crypto::ring::default_provider() };
        Self::shake_hands(address, self.client_with_provider(provider, "http/1.1", &[version]))
    }

    /// Does the handshake on a connection that is open.
    pub fn connect_over(&self, stream: TcpStream) -> io::Result<SecureWire> {
        Self::shake_hands_over(stream, self.client("http/1.1", rustls::DEFAULT_VERSIONS))
    }

    fn shake_hands(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<SecureWire> {
        Self::shake_hands_over(TcpStream::connect(address)?, config)
    }

    fn shake_hands_over(
        mut stream: TcpStream,
        config: Arc<ClientConfig>,
    ) -> io::Result<SecureWire> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(config, name).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(SecureWire(StreamOwned::new(session, stream)))
    }
}

/// A TLS connection for HTTP/1.1.
pub struct SecureWire(StreamOwned<ClientConnection, TcpStream>);

impl SecureWire {
    /// Returns the negotiated application protocol (ALPN) and TLS version.
    pub fn negotiated(&self) -> (String, String) {
        let protocol = self.0.conn.alpn_protocol().unwrap_or_default();
        let version = self.0.conn.protocol_version().unwrap();
        (String::from_utf8(protocol.to_vec()).unwrap(), format!("{version:?}"))
    }

    pub fn cipher(&self) -> CipherSuite {
        self.0.conn.negotiated_cipher_suite().unwrap().suite()
    }

    /// Sends the text unchanged and does not read.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())?;
        self.0.flush()
    }

    /// Requests the path and returns the response head. The body must be short.
    pub fn get(&mut self, path: &str) -> io::Result<String> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))?;
        let mut response = Vec::new();
        while !response.ends_with(b"}") {
            let mut piece = [0; 4096];
            let length = self.0.read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            response.extend_from_slice(&piece[..length]);
        }
        let response = String::from_utf8(response).unwrap();
        Ok(response.split("\r\n\r\n").next().unwrap().to_owned())
    }
}
