//! Gives a message to a mail server, or prints it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::Message;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::public_url::PublicUrl;
use super::send_error::SendError;
use super::smtp_connection::SmtpConnection;
use super::smtp_url::{Encryption, SmtpServer};

/// Time to connect to one IP address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of bytes that are read in one conversation. The stream ends after this number, so
/// a server can fill no memory. An ordinary conversation has 1 KiB. TLS adds 5 KiB, with three
/// certificates of 4096 bits.
const MAX_BYTES_READ: u64 = 64 * 1024;

/// Time for QUIT and its answer. The mail is judged before.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of connections that wait for the answer to QUIT. Further ones are closed at once.
const MAX_QUITS: usize = 16;

/// Sends messages, one at a time.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// # Errors
    /// [`SendError`] if the message was not accepted.
    async fn send(&self, message: &Message) -> Result<(), SendError>;
}

/// Sends each message over a connection of its own. Mails are rare, so there is no pool.
pub struct SmtpTransport {
    server: SmtpServer,
    name: ClientId,
    credentials: Option<Credentials>,
    /// `None` means no TLS.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    quits: Arc<Semaphore>,
}

impl SmtpTransport {
    /// Reads the certificates of the system's trusted authorities. The service introduces itself
    /// with the host of `url`.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(server: &SmtpServer, url: &PublicUrl) -> Result<Self, SendError> {
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::StartTls | Encryption::Implicit => Some(connector(&server.host)?),
        };
        let name = match url.host() {
            Ok(name) => ClientId::Domain(name.to_owned()),
            Err(std::net::IpAddr::V4(ip)) => ClientId::Ipv4(ip),
            Err(std::net::IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        };
        let credentials = server.credentials.as_ref().map(|(user, password)| {
            Credentials::new(user.clone(), password.expose_secret().to_owned())
        });
        let quits = Arc::new(Semaphore::new(MAX_QUITS));
        Ok(Self { server: server.clone(), name, credentials, tls, quits })
    }

    async fn converse<S>(
        &self,
        mut connection: SmtpConnection<S>,
        message: &Message,
    ) -> Result<(), SendError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let outcome = connection.deliver(&self.name, self.credentials.as_ref(), message).await;
        // The outcome does not wait for QUIT: the server has judged the mail.
        if let Ok(permit) = Arc::clone(&self.quits).try_acquire_owned() {
            tokio::spawn(async move {
                // Whether the server answers makes no difference.
                let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
                drop(permit);
            });
        }
        outcome
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let (reader, writer) = connect(&self.server.host, self.server.port).await?.into_split();
        let stream = tokio::io::join(reader.take(MAX_BYTES_READ), writer);
        let Some(tls) = &self.tls else {
            return self.converse(SmtpConnection::greeted(stream).await?, message).await;
        };
        if self.server.encryption == Encryption::Implicit {
            let stream = encrypt(tls, stream).await?;
            return self.converse(SmtpConnection::greeted(stream).await?, message).await;
        }
        let stream = SmtpConnection::greeted(stream).await?.start_tls(&self.name).await?;
        let stream = encrypt(tls, stream).await?;
        self.converse(SmtpConnection::new(stream), message).await
    }
}

/// Connects to the first IP address of the host that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, SendError> {
    let mut failure = SendError::Connection("the host has no IP address".to_owned());
    for address in lookup_host((host, port)).await? {
        failure = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.into(),
            Err(_) => SendError::Timeout,
        };
    }
    Err(failure)
}

fn connector(host: &str) -> Result<(TlsConnector, ServerName<'static>), SendError> {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "system certificate unreadable");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SendError::Connection(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| SendError::Connection(error.to_string()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

async fn encrypt<S: AsyncRead + AsyncWrite + Unpin>(
    (connector, name): &(TlsConnector, ServerName<'static>),
    stream: S,
) -> io::Result<TlsStream<S>> {
    connector.connect(name.clone(), stream).await
}

/// Prints each message: for development.
pub struct ConsoleTransport {
    pub print: fn(&str),
}

#[async_trait]
impl Transport for ConsoleTransport {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let text = message.formatted();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        (self.print)(&format!("--- mail ---\n{text}--- end of mail ---\n"));
        Ok(())
    }
}
