//! Every setting, with its type and its checks. All faults are found at once, each with its cure.
//! Where the values come from is `source`'s; how they are documented, `table`'s.

mod definitions;
pub mod dotenv;
mod file_permissions;
mod keys;
mod parse;
mod plaintext_warnings;
mod render;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::auth::{Algorithm, Argon2Params, KeyPair};
use crate::domain::policy::Policy;
use crate::rate_limits::RateLimitConfig;
use crate::server::{AllowedOrigins, TrustedProxies};
use crate::store::postgres::Address;

use self::parse::Parser;

pub use definitions::{SETTINGS, Setting};
pub use render::{effective_settings, env_example, procfile, settings_page};
pub use source::Source;

/// What the service is told at its start. `Debug` does not show the secret.
#[derive(Debug)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    /// `None` leaves it to [`crate::server::server_threads`].
    pub server_threads: Option<usize>,
    /// `None` leaves TLS to whoever stands before the service.
    pub tls: Option<TlsFiles>,
    pub data_dir: PathBuf,
    pub database: Database,
    /// Without a key of any kind the service makes and keeps a secret.
    pub secret_key: Option<SecretString>,
    /// The one that signs first. `secret_key` verifies beside them.
    pub secret_keys: Vec<SecretString>,
    /// The same where the algorithm signs with pairs of keys.
    pub signing_keys: Vec<KeyPair>,
    pub algorithm: Algorithm,
    pub token_lifetime: Duration,
    pub policy: Policy,
    pub hash_strength: Argon2Params,
    pub trusted_proxies: TrustedProxies,
    /// `None` limits nothing.
    pub rate_limits: Option<RateLimitConfig>,
    pub cors_origins: AllowedOrigins,
    pub root_path: String,
    pub docs: bool,
    pub access_log: bool,
    pub log_format: LogFormat,
    pub log_level: tracing::level_filters::LevelFilter,
    /// What can be used, and should not be.
    pub warnings: Vec<SettingError>,
}

/// Where the certificate of the listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// With those of its authorities after it.
    pub certificate: PathBuf,
    pub key: PathBuf,
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
#[error("{name}: {problem}; {hint}")]
pub struct SettingError {
    pub name: String,
    pub problem: String,
    pub hint: String,
}

impl SettingError {
    pub(crate) fn new(name: &str, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into(), hint: hint.into() }
    }
}

impl Settings {
    /// # Errors
    /// Every fault there is.
    pub fn load(source: &Source) -> Result<Self, Vec<SettingError>> {
        let mut parser = Parser::new(source);
        let data_dir = PathBuf::from(parser.text("DATA_DIR"));
        let algorithm = parser.algorithm("ALGORITHM");
        let is_reference = parser.choice("COMPAT", false, &[("", false), ("reference", true)]);
        let settings = Self {
            host: parser.text("HOST"),
            port: parser.number("PORT", 0..=u16::MAX),
            server_threads: parser.server_threads("SERVER_THREADS"),
            tls: parser.tls(),
            database: parser.database(&data_dir),
            data_dir,
            secret_key: parser.secret_key("SECRET_KEY", algorithm, is_reference),
            secret_keys: parser.secret_keys("SECRET_KEYS", algorithm, is_reference),
            signing_keys: parser.signing_keys("SIGNING_KEYS", algorithm),
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
    /// If there is no key for PostgreSQL, which may be served by several processes, and all must sign
    /// alike; or none for an algorithm whose keys the service does not make.
    pub fn check_for_serving(&self) -> Result<(), Vec<SettingError>> {
        const SECRET_CURE: &str = "make one with `openssl rand -hex 32`, the same for every process \
                                   that serves this database";
        const PAIR_CURE: &str = "make one as docs/settings.md says, the same for every process that \
                                 serves this database";
        if !self.algorithm.is_symmetric() && self.signing_keys.is_empty() {
            return Err(vec![SettingError::new("SIGNING_KEYS", "is missing", PAIR_CURE)]);
        }
        let is_postgres = matches!(self.database, Database::Postgres(_));
        if is_postgres && self.algorithm.is_symmetric() && !self.has_secret() {
            return Err(vec![SettingError::new("SECRET_KEY", "is missing", SECRET_CURE)]);
        }
        Ok(())
    }

    /// Whether a secret was given.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret_key.is_some() || !self.secret_keys.is_empty()
    }
}
