//! Asks a service of ours whether it is ready, as its neighbour on the same machine.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::tls_verifier::TlsVerifier;

/// How long a service may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// # Errors
/// If nobody answers there.
pub fn ask_ready(host: &str, port: u16, is_secure: bool) -> io::Result<bool> {
    let mut addresses = (host, port).to_socket_addrs()?;
    let address = addresses
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
    let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    if !is_secure {
        return ask(connection);
    }
    let session = ClientConnection::new(Arc::new(config()?), ServerName::from(address.ip()));
    ask(StreamOwned::new(session.map_err(io::Error::other)?, connection))
}

fn ask(mut connection: impl Read + Write) -> io::Result<bool> {
    connection
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(4096).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

fn config() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // The certificate is not for an IP, and the exchange holds nothing secret.
    let verifier = Arc::new(TlsVerifier::any_certificate(&provider));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}
