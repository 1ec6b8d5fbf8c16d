//! `post-api healthcheck`: asks a service on this machine whether it is ready.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::ServeArguments;
use super::exit::Exit;
use crate::tls_verifier::TlsVerifier;

/// Timeout for connecting, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: &ServeArguments) -> Result<(), Exit> {
    let (settings, _) = arguments.read()?;
    // A service that listens on all addresses also listens on the loopback address.
    let host = match settings.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    };
    let problem = match ask_ready(host, settings.port, settings.tls.is_some()) {
        Ok(true) => return Ok(()),
        Ok(false) => "the service is not ready".to_owned(),
        Err(error) => {
            format!("the service does not answer on {host}:{}: {error}", settings.port)
        }
    };
    Err(Exit::CheckFailed(vec![problem]))
}

fn ask_ready(host: &str, port: u16, has_tls: bool) -> io::Result<bool> {
    let mut addresses = (host, port).to_socket_addrs()?;
    let address = addresses
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no IP address"))?;
    let connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    if !has_tls {
        return is_ready(connection);
    }
    let session = ClientConnection::new(Arc::new(config()?), ServerName::from(address.ip()));
    is_ready(StreamOwned::new(session.map_err(io::Error::other)?, connection))
}

fn is_ready(mut connection: impl Read + Write) -> io::Result<bool> {
    connection
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    connection.take(4096).read_to_end(&mut response)?;
    Ok(response.starts_with(b"HTTP/1.1 200 "))
}

fn config() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // The certificate is not issued for the IP address, and the exchange contains nothing secret.
    let verifier = Arc::new(TlsVerifier::any_certificate(&provider));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}
