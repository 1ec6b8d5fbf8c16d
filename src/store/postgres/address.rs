//! The address of a PostgreSQL database: `DATABASE_URL`, or the five settings of the reference
//! service. Parsing neither resolves a name nor opens a connection.
//!
//! Not read: `PGPASSWORD` and the other variables of libpq, `~/.pgpass`, `pg_service.conf`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// A database to connect to. `Debug` and [`Address::describe`] do not show the password.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) config: Config,
    pub(super) trust: Trust,
    is_prepared: bool,
}

/// The certificates that are accepted from a server that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any certificate. Protects against an eavesdropper, but not against a man in the middle.
    AnyCertificate,
    /// Certificates of a trusted authority, for any host name.
    Authority(Roots),
    /// Certificates of a trusted authority, for the name of this host.
    Host(Roots),
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// The authorities that the operating system trusts.
    Native,
    /// The authorities in a PEM file.
    File(PathBuf),
}

/// The reason why a text is not the address of a PostgreSQL database. It never contains the text,
/// because the text may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

/// How long each host may take to accept a connection, unless the URL sets `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long sent data may stay unacknowledged before the connection is closed, unless the URL sets
/// `tcp_user_timeout`.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

impl Address {
    /// Parses `postgresql://…` as libpq does, and `SQLAlchemy`'s `postgresql+driver://…`.
    ///
    /// # Errors
    /// The first error in the text.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let invalid = |reason: &str| AddressError(reason.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no `://`"))?;
        let scheme = scheme.split('+').next().unwrap_or_default();
        if !["postgres", "postgresql"].contains(&scheme) {
            return Err(invalid("it does not begin with `postgresql://`"));
        }
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let tls = Tls::take_from(query)?;
        let mut config: Config = format!("postgresql://{base}?{}", tls.rest)
            .parse()
            .map_err(|error| AddressError(describe_error(&error)))?;
        config.ssl_mode(tls.mode);
        Self::complete(config, tls.trust)
    }

    /// Makes an address from the five settings of the reference service. A host that begins with a
    /// slash is the folder of a Unix socket.
    ///
    /// # Errors
    /// If the user or the name is empty.
    pub fn from_parts(
        host: &str,
        port: u16,
        name: &str,
        user: &str,
        password: &str,
    ) -> Result<Self, AddressError> {
        let mut config = Config::new();
        config.host(host).port(port).dbname(name).user(user).password(password);
        Self::complete(config, Trust::AnyCertificate)
    }

    /// Sets whether statements stay prepared on their connection. Behind a pooler in transaction
    /// mode they cannot, because each transaction may get another server connection.
    #[must_use]
    pub fn with_prepared(self, is_prepared: bool) -> Self {
        Self { is_prepared, ..self }
    }

    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.is_prepared
    }

    /// Returns the hosts and the database, without the credentials.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = "postgresql://".to_owned();
        let ports = self.config.get_ports();
        for (number, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(number).or_else(|| ports.first()).unwrap_or(&5432);
            let comma = if number > 0 { "," } else { "" };
            // Writing to a String does not fail.
            let _ = match host {
                // A literal IPv6 address.
                Host::Tcp(name) if name.contains(':') => write!(text, "{comma}[{name}]:{port}"),
                Host::Tcp(name) => write!(text, "{comma}{name}:{port}"),
                Host::Unix(folder) => write!(text, "{comma}{}:{port}", folder.display()),
            };
        }
        text + "/" + self.config.get_dbname().unwrap_or_default()
    }

    /// Whether a connection to another machine may be unencrypted.
    #[must_use]
    pub fn allows_plaintext(&self) -> bool {
        // If the URL has `hostaddr`, the host is only the name in the certificate.
        let addresses = self.config.get_hostaddrs();
        let is_remote = if addresses.is_empty() {
            self.config.get_hosts().iter().any(is_remote_host)
        } else {
            !addresses.iter().all(is_loopback)
        };
        is_remote && self.config.get_ssl_mode() != SslMode::Require
    }

    fn complete(mut config: Config, trust: Trust) -> Result<Self, AddressError> {
        let is_blank = |text: Option<&str>| text.is_none_or(str::is_empty);
        if config.get_hosts().is_empty() {
            return Err(AddressError("it names no host".to_owned()));
        }
        if is_blank(config.get_user()) {
            return Err(AddressError("it names no user".to_owned()));
        }
        if is_blank(config.get_dbname()) {
            return Err(AddressError("it names no database".to_owned()));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("post-api");
        }
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
        // Only the primary of several hosts accepts writes; the others are standbys.
        if config.get_hosts().len() > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self { config, trust, is_prepared: true })
    }
}

fn is_remote_host(host: &Host) -> bool {
    match host {
        Host::Unix(_) => false,
        Host::Tcp(name) => match name.parse() {
            Ok(address) => !is_loopback(&address),
            Err(_) => !name.eq_ignore_ascii_case("localhost"),
        },
    }
}

fn is_loopback(address: &IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The TLS parameters of a URL, with libpq's meaning, and the other parameters.
struct Tls {
    mode: SslMode,
    trust: Trust,
    rest: String,
}

impl Tls {
    fn take_from(query: &str) -> Result<Self, AddressError> {
        let (mut mode, mut file, mut rest) = (String::from("prefer"), None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => mode = value,
                "sslrootcert" => file = Some(value),
                _ => rest.push(parameter),
            }
        }
        let roots = match file.as_deref() {
            None | Some("" | "system") => Roots::Native,
            Some(path) => Roots::File(PathBuf::from(path)),
        };
        let (mode, trust) = match mode.as_str() {
            "disable" => (SslMode::Disable, Trust::AnyCertificate),
            "allow" | "prefer" => (SslMode::Prefer, Trust::AnyCertificate),
            // As in libpq, `require` checks the authority if the URL names a file of authorities.
            "require" if matches!(roots, Roots::File(_)) => {
                (SslMode::Require, Trust::Authority(roots))
            }
            "require" => (SslMode::Require, Trust::AnyCertificate),
            "verify-ca" => (SslMode::Require, Trust::Authority(roots)),
            "verify-full" => (SslMode::Require, Trust::Host(roots)),
            _ => {
                return Err(AddressError(
                    "sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"
                        .to_owned(),
                ));
            }
        };
        Ok(Self { mode, trust, rest: rest.join("&") })
    }
}

/// Returns the driver's message, which names the parameter but never its value.
fn describe_error(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}
