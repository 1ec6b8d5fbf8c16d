//! Gives a message to a mail server, or prints it.

use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::public_url::PublicUrl;
use super::send_error::SendError;
use super::smtp_url::{Encryption, SmtpServer};

/// Time to connect to one IP address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends messages, one at a time.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// # Errors
    /// [`SendError`] if the message was not accepted.
    async fn send(&self, message: &Message) -> Result<(), SendError>;
}

/// Sends each message over a connection of its own. Mails are rare, so there is no pool.
pub struct SmtpTransport(AsyncSmtpTransport<Tokio1Executor>);

impl SmtpTransport {
    /// Reads the certificates of the system's trusted authorities. The service introduces itself
    /// with the host of `url`.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(server: &SmtpServer, url: &PublicUrl) -> Result<Self, SendError> {
        let tls = match server.encryption {
            Encryption::None => Tls::None,
            Encryption::StartTls => Tls::Required(TlsParameters::new(server.host.clone())?),
            Encryption::Implicit => Tls::Wrapper(TlsParameters::new(server.host.clone())?),
        };
        let name = match url.host() {
            Ok(name) => ClientId::Domain(name.to_owned()),
            Err(std::net::IpAddr::V4(ip)) => ClientId::Ipv4(ip),
            Err(std::net::IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(CONNECT_TIMEOUT))
            .hello_name(name);
        if let Some((user, password)) = &server.credentials {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self(builder.build()))
    }
}

#[async_trait]
impl Transport for SmtpTransport {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        self.0.send_raw(message.envelope(), &message.formatted()).await?;
        Ok(())
    }
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
