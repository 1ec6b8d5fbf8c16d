//! Every setting, with its type and its checks. All faults are found at once, each with its cure.
//! Where the values come from is `source`'s; how they are documented, `table`'s.

pub mod dotenv;
mod parse;
mod render;
mod secret;
mod source;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::auth::{Algorithm, Strength};
use crate::domain::policy::Policy;
use crate::http::{Origins, TrustedProxies};
use crate::rate_limits::Rates;
use crate::store::postgres::Address;

use self::parse::Parser;

pub use render::{effective, env_example, procfile, settings_page};
pub use secret::{SECRET_FILE, keep_secret};
pub use source::Source;
pub use table::{SETTINGS, Setting};

/// What the service is told at its start. `Debug` does not show the secret.
#[derive(Debug)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    /// `None` leaves it to [`crate::http::server_threads`].
    pub server_threads: Option<usize>,
    pub data_dir: PathBuf,
    pub database: Database,
    /// `None` lets the service make and keep one.
    pub secret_key: Option<SecretString>,
    pub algorithm: Algorithm,
    pub token_lifetime: Duration,
    pub policy: Policy,
    pub hash_strength: Strength,
    pub trusted_proxies: TrustedProxies,
    /// `None` limits nothing.
    pub rate_limits: Option<Rates>,
    pub cors_origins: Origins,
    pub root_path: String,
    pub docs: bool,
    pub access_log: bool,
    pub log_format: LogFormat,
    pub log_level: tracing::level_filters::LevelFilter,
    /// What can be used, and should not be.
    pub warnings: Vec<Fault>,
}

/// Where the users, posts and votes are.
#[derive(Debug, Clone)]
pub enum Database {
    /// The file of the embedded database.
    Sqlite(PathBuf),
    Postgres(Box<Address>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// A setting that cannot be used, and what to do about it. Never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}; {cure}")]
pub struct Fault {
    pub name: String,
    pub problem: String,
    pub cure: String,
}

impl Fault {
    pub(crate) fn new(name: &str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into(), cure: cure.into() }
    }
}

impl Settings {
    /// # Errors
    /// Every fault there is.
    pub fn load(source: &Source) -> Result<Self, Vec<Fault>> {
        let mut parser = Parser::new(source);
        let data_dir = PathBuf::from(parser.text("DATA_DIR"));
        let algorithm = parser.algorithm("ALGORITHM");
        let is_reference = parser.choice("COMPAT", false, &[("", false), ("reference", true)]);
        let settings = Self {
            host: parser.text("HOST"),
            port: parser.number("PORT", 0..=u16::MAX),
            server_threads: parser.server_threads("SERVER_THREADS"),
            database: parser.database(&data_dir),
            data_dir,
            secret_key: parser.secret_key("SECRET_KEY", algorithm, is_reference),
            algorithm,
            token_lifetime: Duration::from_secs(
                60 * parser.number("ACCESS_TOKEN_EXPIRE_MINUTES", 1..=525_600_u64),
            ),
            policy: parser.policy(is_reference),
            hash_strength: parser.strength(),
            trusted_proxies: parser.trusted_proxies("TRUSTED_PROXIES"),
            rate_limits: parser.rate_limits(),
            cors_origins: parser.origins("CORS_ORIGINS"),
            root_path: parser.root_path("ROOT_PATH"),
            docs: parser.switch("DOCS"),
            access_log: parser.switch("ACCESS_LOG"),
            log_format: parser.choice(
                "LOG_FORMAT",
                LogFormat::Text,
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            ),
            log_level: parser.log_level("LOG_LEVEL"),
            warnings: Vec::new(),
        };
        parser.finish(settings)
    }

    /// What only serving needs.
    ///
    /// # Errors
    /// If there is no key for PostgreSQL: it may be served by several processes, and all must sign
    /// alike.
    pub fn check_for_serving(&self) -> Result<(), Vec<Fault>> {
        const CURE: &str = "make one with `openssl rand -hex 32`, the same for every process that \
                            serves this database";
        match (&self.database, &self.secret_key) {
            (Database::Postgres(_), None) => {
                Err(vec![Fault::new("SECRET_KEY", "is missing", CURE)])
            }
            _ => Ok(()),
        }
    }
}
