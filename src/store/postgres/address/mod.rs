//! The address of a PostgreSQL database: `DATABASE_URL`, or the five settings of the reference
//! service, completed by libpq's environment variables. Parsing neither resolves a name nor opens a
//! connection.
//!
//! Not here: the names of the parameters and of the variables, see `parameters.rs`.

mod environment;
mod hosts;
mod parameters;
mod password_file;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use self::parameters::Parameters;
use super::budget::{DEFAULT_FAILOVER_WAIT, DEFAULT_POOL_SIZE, PoolLimits};

pub use environment::Environment;
pub(super) use tls::{Certificate, Roots, Tls, Trust};

/// A database to connect to. `Debug` and [`Address::describe`] do not show the password.
#[derive(Debug, Clone)]
pub struct Address {
    /// Without startup options, which a pooler may refuse.
    pub(super) config: Config,
    /// Whether the server must not be a standby, beyond what the driver checks.
    pub(super) needs_primary: bool,
    /// Startup options, as the server parses them.
    pub(super) options: Option<String>,
    pub(super) tls: Tls,
    is_prepared: bool,
    pool_size: usize,
    failover_wait: Duration,
    confirms_reads: bool,
    warnings: Vec<String>,
}

/// The five settings of the reference service, which reads them as the parts of a URL:
/// `postgresql://USERNAME:PASSWORD@HOSTNAME:PORT/NAME`.
#[derive(Clone, Copy)]
pub struct UrlParts<'a> {
    pub hostname: &'a str,
    pub port: u16,
    pub name: &'a str,
    pub username: &'a str,
    pub password: &'a str,
}

/// The reasons why a text is not the address of a PostgreSQL database. They never contain the text,
/// because the text may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct AddressError(Vec<AddressFault>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFault {
    /// The setting or the variable that is wrong; `None` if it is the URL.
    pub origin: Option<&'static str>,
    pub problem: String,
}

impl AddressError {
    fn new(problem: impl Into<String>) -> Self {
        Self::of(None, problem)
    }

    fn of(origin: Option<&'static str>, problem: impl Into<String>) -> Self {
        Self(vec![AddressFault { origin, problem: problem.into() }])
    }

    /// Returns at least one fault.
    #[must_use]
    pub fn faults(&self) -> &[AddressFault] {
        &self.0
    }

    fn describe(&self) -> String {
        let texts = self.0.iter().map(|fault| fault.problem.as_str());
        texts.collect::<Vec<_>>().join("; ")
    }
}

type Result<T> = std::result::Result<T, AddressError>;

impl Address {
    /// Parses `postgresql://…` as libpq does, and `postgresql+driver://…` as `SQLAlchemy` does.
    /// Reads no environment variable.
    ///
    /// # Errors
    /// The faults of the text.
    pub fn parse(url: &str) -> Result<Self> {
        Self::parse_in(url, &Environment::default())
    }

    /// Like [`Address::parse`]. The environment completes the URL, as libpq's does.
    ///
    /// # Errors
    /// The faults of the text and of the variables.
    pub fn parse_in(url: &str, environment: &Environment) -> Result<Self> {
        Self::complete(url::parse(url)?, environment)
    }

    /// Makes an address from the five settings of the reference service. A host that begins with a
    /// slash is the folder of a Unix socket. A value that would make the URL invalid is taken
    /// literally.
    ///
    /// # Errors
    /// The faults of the parts and of the variables.
    pub fn from_parts(parts: UrlParts<'_>, environment: &Environment) -> Result<Self> {
        Self::complete(url::from_parts(parts)?, environment)
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

    /// Sets the maximum number of connections of one process.
    #[must_use]
    pub fn with_pool_size(self, pool_size: usize) -> Self {
        Self { pool_size, ..self }
    }

    /// Sets whether each answer waits until the synchronous standby has acknowledged that the server
    /// is still the primary.
    #[must_use]
    pub fn with_confirmed_reads(self, confirms_reads: bool) -> Self {
        Self { confirms_reads, ..self }
    }

    /// Whether reads may come from a standby.
    #[must_use]
    pub fn accepts_standby(&self) -> bool {
        match self.config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => false,
            TargetSessionAttrs::Any => !self.needs_primary,
            _ => true,
        }
    }

    #[must_use]
    pub fn confirms_reads(&self) -> bool {
        self.confirms_reads
    }

    /// Sets how long requests wait for the next primary after the last one was lost.
    #[must_use]
    pub fn with_failover_wait(self, failover_wait: Duration) -> Self {
        Self { failover_wait, ..self }
    }

    pub(super) fn limits(&self) -> PoolLimits {
        let failover_wait = self.failover_wait;
        PoolLimits { failover_wait, ..PoolLimits::for_connections(self.pool_size) }
    }

    /// Returns what is accepted but does not work as it seems to.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Checks the files with certificates and keys.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn check_files(&self) -> Result<()> {
        super::tls::check_files(&self.tls).map_err(AddressError::new)
    }

    /// Returns the hosts and the database, without the credentials.
    #[must_use]
    pub fn describe(&self) -> String {
        let hosts: Vec<String> = self.hosts().into_iter().map(|(name, _)| name).collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgresql://{}/{database}", hosts.join(","))
    }

    /// Returns each host with its port as text, and the configuration of a connection to this host.
    pub(super) fn hosts(&self) -> Vec<(String, Config)> {
        let named = hosts::split(&self.config).into_iter().map(|config| {
            let port = config.get_ports().first().copied().unwrap_or(5432);
            let name = match config.get_hosts().first() {
                // A literal IPv6 address.
                Some(Host::Tcp(name)) if name.contains(':') => format!("[{name}]:{port}"),
                Some(Host::Tcp(name)) => format!("{name}:{port}"),
                Some(Host::Unix(folder)) => format!("{}:{port}", folder.display()),
                None => String::new(),
            };
            (name, config)
        });
        named.collect()
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

    fn complete(mut parameters: Parameters, environment: &Environment) -> Result<Self> {
        environment.complete(&mut parameters);
        parameters.check()?;
        let mut config = Config::new();
        hosts::set(&mut config, &parameters)?;
        let user = required(&parameters, "user", "it names no user")?;
        let database = required(&parameters, "dbname", "it names no database")?;
        config.user(user).dbname(database);
        let needs_primary = session::set(&mut config, &parameters)?;
        let tls = Tls::new(&mut config, &parameters, environment.home())?;
        let mut warnings = Vec::new();
        let password = if let Some(password) = parameters.get("password") {
            Some(password.to_owned())
        } else {
            let path = parameters.get("passfile");
            password_file::find(&config, path, environment.home(), &mut warnings)?
        };
        if let Some(password) = password {
            config.password(password);
        }
        let options = parameters.get("options").map(str::to_owned);
        Ok(Self {
            config,
            needs_primary,
            options,
            tls,
            is_prepared: true,
            pool_size: DEFAULT_POOL_SIZE,
            failover_wait: DEFAULT_FAILOVER_WAIT,
            confirms_reads: false,
            warnings,
        })
    }
}

fn required<'a>(parameters: &'a Parameters, name: &str, missing: &str) -> Result<&'a str> {
    parameters.get(name).ok_or_else(|| AddressError::new(missing))
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
