//! The value of `SMTP_URL`: where mails go.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// Port of SMTP over TLS (RFC 8314).
const SUBMISSIONS_PORT: u16 = 465;

/// Port of mail submission (RFC 6409).
const SUBMISSION_PORT: u16 = 587;

/// Why a value cannot be used. The text never has the value, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSmtpUrl {
    #[error("is no URL that begins with smtps:// or smtp://, and is not console:")]
    Scheme,
    #[error("has no host, or an invalid one")]
    Host,
    #[error("has the port 0")]
    Port,
    #[error("has a user without a password, or a password without a user")]
    Credentials,
    #[error("has an encoding in the user or the password that is not UTF-8")]
    Encoding,
    #[error("has a path or a fragment")]
    Path,
    #[error("has a parameter other than tls=required or tls=none")]
    Parameter,
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum MailServer {
    /// Mails are printed: for development.
    Console,
    Smtp(SmtpServer),
}

/// How the connection to a server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte (`smtps`).
    Implicit,
    /// With STARTTLS, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// A server that accepts mails for others. `Debug` does not show the password.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// A name, or an IP address without brackets.
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub credentials: Option<(String, SecretString)>,
}

impl MailServer {
    /// # Errors
    /// [`UnusableSmtpUrl`] if the value is none of the three forms.
    pub fn parse(text: &str) -> Result<Self, UnusableSmtpUrl> {
        if text.eq_ignore_ascii_case("console:") {
            return Ok(Self::Console);
        }
        let url = Url::parse(text).map_err(|_| UnusableSmtpUrl::Scheme)?;
        let has_tls = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(UnusableSmtpUrl::Scheme),
        };
        let host = match url.host().ok_or(UnusableSmtpUrl::Host)? {
            Host::Domain(name) => idna::domain_to_ascii(&decode(name)?)
                .ok()
                .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
                .ok_or(UnusableSmtpUrl::Host)?,
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(UnusableSmtpUrl::Path);
        }
        let encryption = match (url.query(), has_tls) {
            (None | Some("tls=required"), true) => Encryption::Implicit,
            (None | Some("tls=required"), false) => Encryption::StartTls,
            (Some("tls=none"), false) => Encryption::None,
            _ => return Err(UnusableSmtpUrl::Parameter),
        };
        let default_port = if has_tls { SUBMISSIONS_PORT } else { SUBMISSION_PORT };
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(UnusableSmtpUrl::Port);
        }
        Ok(Self::Smtp(SmtpServer { host, port, encryption, credentials: credentials(&url)? }))
    }
}

impl SmtpServer {
    /// Whether others can read mails, and with them links, on their way to the server.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        let is_local = self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        self.encryption == Encryption::None && !is_local
    }
}

fn credentials(url: &Url) -> Result<Option<(String, SecretString)>, UnusableSmtpUrl> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(UnusableSmtpUrl::Credentials),
        (user, Some(password)) => Ok(Some((decode(user)?, decode(password)?.into()))),
    }
}

fn decode(text: &str) -> Result<String, UnusableSmtpUrl> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| UnusableSmtpUrl::Encoding)
}
