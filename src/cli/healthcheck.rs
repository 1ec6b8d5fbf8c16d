//! `post-api healthcheck`: asks a service on this machine whether it is ready.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::exit::Exit;
use super::{EnvFileArgument, set_listener};
use crate::config::ListenerSettings;
use crate::tls_verifier::TlsVerifier;

const READY: &str = "/readyz";

/// Timeout for connecting, for each read and write, and for the whole response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length in bytes of a response that is read. The body of `/readyz` names the reason.
const MAX_RESPONSE: usize = 16 * 1024;

#[derive(Debug, Args)]
pub(super) struct HealthcheckArguments {
    /// IP address or host name of the service (setting `HOST`)
    #[arg(long)]
    host: Option<String>,
    /// Port of the service (setting `PORT`)
    #[arg(long)]
    port: Option<String>,
    #[command(flatten)]
    env_file: EnvFileArgument,
}

pub(super) fn run(arguments: &HealthcheckArguments) -> Result<(), Exit> {
    let mut source = arguments.env_file.read()?;
    set_listener(&mut source, arguments.host.as_ref(), arguments.port.as_ref());
    let settings = ListenerSettings::load(&source)?;
    let host = connectable(&settings.host);
    let problem = match ask_ready(host, settings.port, settings.has_tls) {
        Ok(response) => match problem_of(&response, settings.has_tls) {
            None => return Ok(()),
            Some(problem) => problem,
        },
        Err(error) => format!("the service does not answer: {}", explain(&error)),
    };
    let url = url(host, settings.port, settings.has_tls);
    Err(Exit::CheckFailed(vec![format!("{url}: {problem}")]))
}

/// Returns a host to connect to. A service that listens on all addresses also listens on the
/// loopback address.
pub(super) fn connectable(host: &str) -> &str {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    }
}

pub(super) fn url(host: &str, port: u16, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{port}{READY}")
}

/// Returns the first bytes of the response.
pub(super) fn ask_ready(host: &str, port: u16, has_tls: bool) -> io::Result<Vec<u8>> {
    let mut addresses = (host, port).to_socket_addrs()?;
    let address = addresses
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no IP address"))?;
    let connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    if !has_tls {
        return exchange(connection, READY, MAX_RESPONSE);
    }
    let session = ClientConnection::new(Arc::new(config()?), ServerName::from(address.ip()));
    let session = StreamOwned::new(session.map_err(io::Error::other)?, connection);
    exchange(session, READY, MAX_RESPONSE)
}

/// Sends a request for the path, and returns the bytes of the response that arrive in time.
pub(super) fn exchange(
    mut connection: impl Read + Write,
    path: &str,
    max_bytes: usize,
) -> io::Result<Vec<u8>> {
    let end = Instant::now() + TIMEOUT;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let (mut response, mut bytes) = (Vec::new(), [0; 4096]);
    // The timeout of the connection is that of one read, and each may return a byte.
    while response.len() < max_bytes && Instant::now() < end {
        match connection.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => response.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            // A server that speaks another protocol may answer and then reset the connection.
            Err(error) if response.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(response)
}

/// Returns why the response does not say that the service is ready.
pub(super) fn problem_of(response: &[u8], has_tls: bool) -> Option<String> {
    /// The first byte of an alert, with which a TLS server answers plain text (RFC 8446, 5.1).
    const TLS_ALERT: u8 = 21;
    let text = String::from_utf8_lossy(response);
    if !text.starts_with("HTTP/1.") {
        return Some(match response.first() {
            None => "the connection was closed without a response".to_owned(),
            Some(&TLS_ALERT) if !has_tls => {
                "the service speaks HTTPS: set TLS_CERT and TLS_KEY as for the service".to_owned()
            }
            Some(_) => "the response is not HTTP: another program uses the port".to_owned(),
        });
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status =
        head.lines().next().and_then(|line| line.split_once(' ')).map_or("", |(_, rest)| rest);
    if status.starts_with("200 ") {
        return None;
    }
    // Another program may have answered, and a terminal interprets control characters.
    let line = format!("{status} {}", body.trim());
    Some(line.trim().chars().filter(|character| !character.is_control()).collect())
}

/// Adds the cure to an error of TLS.
pub(super) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|source| source.downcast_ref());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => format!(
            "{error}; the service speaks HTTP: set TLS_CERT and TLS_KEY only if they are set for the \
             service too"
        ),
        _ => error.to_string(),
    }
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
