//! Every setting, typed and checked. [`Settings::load`] reports all errors at once.
//!
//! Not here: where values come from, see `source.rs`; names, defaults, ranges and documentation, see
//! `definitions.rs`.

mod backups;
mod database;
mod definitions;
pub mod dotenv;
mod file_permissions;
mod keys;
mod mail;
mod parse;
mod plaintext_warnings;
mod render;
mod setting;
mod similar_names;
mod source;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::auth::{Algorithm, Argon2Params, KeyPair};
use crate::domain::policy::{PasswordRules, Policy};
use crate::mail::MailConfig;
use crate::rate_limits::{MailRates, RateLimitConfig};
use crate::server::{AllowedOrigins, TrustedProxies};
use crate::store::postgres::Address;

use self::definitions as row;
use self::parse::Parser;

pub use backups::BackupSchedule;
pub use definitions::SETTINGS;
pub use render::{effective_settings, env_example, package_env, procfile, settings_page};
pub use setting::Setting;
pub use source::Source;

/// The settings of a process. `Debug` does not show secrets.
#[derive(Debug)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    /// `None` means the default of [`crate::server::server_threads`].
    pub server_threads: Option<usize>,
    pub keep_alive_timeout: Duration,
    /// In bytes.
    pub client_memory: usize,
    /// `None` means no metrics.
    pub metrics_address: Option<SocketAddr>,
    /// `None` means plain HTTP.
    pub tls: Option<TlsFiles>,
    pub data_dir: PathBuf,
    pub database: Database,
    /// `None` means that the service makes no backups by itself.
    pub backups: Option<BackupSchedule>,
    /// Signs tokens. If there are `secret_keys`, it only verifies.
    pub secret_key: Option<SecretString>,
    /// The first signs, all verify.
    pub secret_keys: Vec<SecretString>,
    /// The first signs, all verify. Empty if the algorithm signs with a secret.
    pub signing_keys: Vec<KeyPair>,
    pub algorithm: Algorithm,
    pub token_lifetime: Duration,
    pub policy: Policy,
    pub argon2_params: Argon2Params,
    pub trusted_proxies: TrustedProxies,
    /// `None` means no limits, except on mails.
    pub rate_limits: Option<RateLimitConfig>,
    pub mail_rates: MailRates,
    /// `None` means that the service sends no mail.
    pub mail: Option<MailConfig>,
    pub cors_origins: AllowedOrigins,
    pub root_path: String,
    pub docs: bool,
    /// Whether there is a page at `/`.
    pub page: bool,
    /// Streams of changes at the same time. 0 means that there are none.
    pub changes_streams: usize,
    pub access_log: bool,
    /// Time from the signal to stop until the listener accepts no more connections.
    pub shutdown_delay: Duration,
    pub log_format: LogFormat,
    pub log_level: tracing::level_filters::LevelFilter,
    /// Settings that are accepted but not recommended.
    pub warnings: Vec<SettingError>,
}

/// The files of the listener's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those of its authorities.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Where users, posts and votes are stored.
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

/// A setting that is invalid or not recommended, and what to do about it. Never contains a secret.
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

/// The settings of a command that only uses the database. It also works without a key.
#[derive(Debug)]
pub struct DatabaseSettings {
    pub data_dir: PathBuf,
    pub database: Database,
}

impl DatabaseSettings {
    /// Reads and checks these settings.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(source: &Source) -> Result<Self, Vec<SettingError>> {
        let mut parser = Parser::new(source);
        let data_dir = PathBuf::from(parser.text(&row::DATA_DIR));
        let database = parser.database(&data_dir);
        parser.finish(Self { data_dir, database })
    }
}

/// The settings of a command that manages accounts and posts. It also works without a key.
#[derive(Debug)]
pub struct OperatorSettings {
    pub database: Database,
    pub password_rules: PasswordRules,
    pub argon2_params: Argon2Params,
    pub log_format: LogFormat,
    pub log_level: tracing::level_filters::LevelFilter,
}

impl OperatorSettings {
    /// Reads and checks these settings.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(source: &Source) -> Result<Self, Vec<SettingError>> {
        let mut parser = Parser::new(source);
        let data_dir = PathBuf::from(parser.text(&row::DATA_DIR));
        let settings = Self {
            database: parser.database(&data_dir),
            password_rules: parser.policy().passwords,
            argon2_params: parser.argon2_params(),
            log_format: parser.log_format(),
            log_level: parser.log_level(),
        };
        parser.finish(settings)
    }
}

/// The settings of a command that connects to the listener.
#[derive(Debug)]
pub struct ListenerSettings {
    pub host: String,
    pub port: u16,
    pub has_tls: bool,
}

impl ListenerSettings {
    /// Reads and checks these settings.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(source: &Source) -> Result<Self, Vec<SettingError>> {
        let mut parser = Parser::new(source);
        let (host, port) = (parser.host(), parser.int(&row::PORT));
        let has_tls = parser.tls().is_some();
        parser.finish(Self { host, port, has_tls })
    }
}

impl Settings {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// One [`SettingError`] for each setting that cannot be used, and for each misspelt name in the
    /// env file.
    pub fn load(source: &Source) -> Result<Self, Vec<SettingError>> {
        let mut parser = Parser::new(source);
        let data_dir = PathBuf::from(parser.text(&row::DATA_DIR));
        let location = parser.database(&data_dir);
        let algorithm = parser.algorithm();
        let settings = Self {
            host: parser.host(),
            port: parser.int(&row::PORT),
            server_threads: parser.optional_int(&row::SERVER_THREADS, ""),
            keep_alive_timeout: Duration::from_secs(parser.int(&row::KEEP_ALIVE_TIMEOUT_SECONDS)),
            client_memory: parser.int::<usize>(&row::CLIENT_MEMORY_MIB).saturating_mul(1024 * 1024),
            metrics_address: parser.metrics_address(),
            tls: parser.tls(),
            data_dir,
            backups: parser.backups(&location),
            database: location,
            secret_key: parser.secret_key(algorithm),
            secret_keys: parser.secret_keys(algorithm),
            signing_keys: parser.signing_keys(algorithm),
            algorithm,
            token_lifetime: Duration::from_mins(parser.int(&row::ACCESS_TOKEN_EXPIRE_MINUTES)),
            policy: parser.policy(),
            argon2_params: parser.argon2_params(),
            trusted_proxies: parser.trusted_proxies(),
            rate_limits: parser.rate_limits(),
            mail_rates: parser.mail_rates(),
            mail: parser.mail(),
            cors_origins: parser.cors_origins(),
            root_path: parser.root_path(),
            docs: parser.switch(&row::DOCS),
            page: parser.switch(&row::PAGE),
            changes_streams: parser.int(&row::CHANGES_STREAMS),
            access_log: parser.switch(&row::ACCESS_LOG),
            shutdown_delay: Duration::from_secs(parser.int(&row::SHUTDOWN_DELAY_SECONDS)),
            log_format: parser.log_format(),
            log_level: parser.log_level(),
            warnings: Vec::new(),
        };
        let warnings = std::mem::take(&mut parser.warnings);
        parser.finish(Self { warnings, ..settings })
    }

    /// Checks that there is a key if the service does not generate one. Only serving needs a key.
    ///
    /// The service generates no secret for PostgreSQL, because several processes may serve one
    /// database and need the same secret. It never generates key pairs.
    ///
    /// # Errors
    /// [`SettingError`] for the missing key.
    pub fn check_for_serving(&self) -> Result<(), Vec<SettingError>> {
        const SECRET_HINT: &str = "generate one with `openssl rand -hex 32`, the same for every process \
                                   that serves this database; to keep the tokens of an embedded \
                                   database, give the secret in its keys.json";
        const PAIR_HINT: &str = "generate one as docs/settings.md says, the same for every process that \
                                 serves this database";
        let missing = |setting: &Setting, hint| {
            Err(vec![SettingError::new(setting.name, "is missing", hint)])
        };
        let is_postgres = matches!(self.database, Database::Postgres(_));
        if !self.algorithm.is_symmetric() && self.signing_keys.is_empty() {
            missing(&row::SIGNING_KEYS, PAIR_HINT)
        } else if is_postgres && self.algorithm.is_symmetric() && !self.has_secret() {
            missing(&row::SECRET_KEY, SECRET_HINT)
        } else {
            Ok(())
        }
    }

    /// Returns whether `SECRET_KEY` or `SECRET_KEYS` is set.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret_key.is_some() || !self.secret_keys.is_empty()
    }
}
