//! Where a PostgreSQL database is, and how it is to be spoken to: what `DATABASE_URL` says, or the
//! reference's five settings. Nothing is looked up or connected here.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

/// A database that can be connected to. `Debug` and [`Address::describe`] do not show the password.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) config: Config,
}

/// Why a text is no address of a PostgreSQL database. Never repeats the text: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressFault(String);

/// How long each host may take to accept a connection, if the address does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl Address {
    /// Reads `postgresql://…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, AddressFault> {
        let config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| AddressFault(error.to_string()))?;
        Ok(Self::with_defaults(config))
    }

    /// From the reference's five settings.
    #[must_use]
    pub fn from_parts(host: &str, port: u16, name: &str, user: &str, password: &str) -> Self {
        let mut config = Config::new();
        config.host(host).port(port).dbname(name).user(user).password(password);
        Self::with_defaults(config)
    }

    /// Host, port and database, without the credentials.
    #[must_use]
    pub fn describe(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let name = self.config.get_dbname().unwrap_or_default();
        format!("postgresql://{}/{name}", hosts.join(","))
    }

    fn with_defaults(mut config: Config) -> Self {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Self { config }
    }
}
