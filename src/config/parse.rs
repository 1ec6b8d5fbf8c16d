//! From texts to values. A parser goes on after a fault, with a stand-in that nobody sees: the
//! settings are given out only if there was none.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::SignedDuration;
use tracing::level_filters::LevelFilter;

use super::definitions::SETTINGS;
use super::file_permissions::warning_of;
use super::plaintext_warnings::warning_to;
use super::source::Source;
use super::{Database, SettingError, Settings, TlsFiles};
use crate::auth::{Algorithm, Argon2Params, fold_case};
use crate::domain::policy::{DraftVisibility, PasswordRules, Policy, SessionTimeouts};
use crate::rate_limits::{Rate, RateLimitConfig};
use crate::server::{AllowedOrigins, TrustedProxies};
use crate::store::postgres::Address;

pub(super) struct Parser<'a> {
    source: &'a Source,
    pub(super) faults: Vec<SettingError>,
    pub(super) warnings: Vec<SettingError>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, faults: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn finish(self, mut settings: Settings) -> Result<Settings, Vec<SettingError>> {
        settings.warnings = self.warnings;
        if self.faults.is_empty() { Ok(settings) } else { Err(self.faults) }
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.source.get(name).unwrap_or_else(|| default_of(name)).to_owned()
    }

    pub(super) fn number<T>(&mut self, name: &str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let text = self.text(name);
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.fault(name, &text, format!("give a number from {least} to {most}"));
                *least
            }
        }
    }

    pub(super) fn server_threads(&mut self, name: &str) -> Option<usize> {
        let is_chosen = !self.text(name).is_empty();
        is_chosen.then(|| self.number(name, 1..=1024))
    }

    pub(super) fn tls(&mut self) -> Option<TlsFiles> {
        let (certificate, key) = (self.text("TLS_CERT"), self.text("TLS_KEY"));
        let (name, problem) = match (certificate.is_empty(), key.is_empty()) {
            (true, true) => return None,
            (false, true) => ("TLS_CERT", "is given without TLS_KEY"),
            (true, false) => ("TLS_KEY", "is given without TLS_CERT"),
            (false, false) => {
                self.warnings.extend(warning_of(Path::new(&key), "TLS_KEY"));
                return Some(TlsFiles { certificate: certificate.into(), key: key.into() });
            }
        };
        self.faults.push(SettingError::new(name, problem, "give both of them, or none"));
        None
    }

    pub(super) fn switch(&mut self, name: &str) -> bool {
        let text = self.text(name);
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "1" => true,
            "off" | "false" | "0" => false,
            _ => {
                self.fault(name, &text, "give on or off");
                false
            }
        }
    }

    /// The value that the word stands for; `otherwise` after a fault.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, otherwise: T, choices: &[(&str, T)]) -> T {
        let text = self.text(name);
        let is_meant = |(word, _): &&(&str, T)| word.eq_ignore_ascii_case(&text);
        if let Some((_, chosen)) = choices.iter().find(is_meant) {
            return *chosen;
        }
        let words = choices.iter().map(|(word, _)| *word).filter(|word| !word.is_empty());
        let words: Vec<_> = words.collect();
        self.fault(name, &text, format!("give {}", words.join(" or ")));
        otherwise
    }

    pub(super) fn algorithm(&mut self, name: &str) -> Algorithm {
        self.choice(
            name,
            Algorithm::HS256,
            &[
                ("HS256", Algorithm::HS256),
                ("HS384", Algorithm::HS384),
                ("HS512", Algorithm::HS512),
                ("RS256", Algorithm::RS256),
                ("ES256", Algorithm::ES256),
                ("EdDSA", Algorithm::EdDSA),
            ],
        )
    }

    pub(super) fn log_level(&mut self, name: &str) -> LevelFilter {
        self.choice(
            name,
            LevelFilter::INFO,
            &[
                ("info", LevelFilter::INFO),
                ("error", LevelFilter::ERROR),
                ("warn", LevelFilter::WARN),
                ("debug", LevelFilter::DEBUG),
                ("trace", LevelFilter::TRACE),
            ],
        )
    }

    /// What `DATABASE_URL` names, else the reference's five settings, else the embedded database.
    pub(super) fn database(&mut self, data_dir: &Path) -> Database {
        const CURE: &str = "give `sqlite:PATH`, `postgresql://USER:PASSWORD@HOST/NAME`, \
                            or nothing for the embedded database in DATA_DIR";
        let is_prepared = self.switch("DATABASE_PREPARED_STATEMENTS");
        let reference = self.reference_database();
        let (name, address) = match (self.secret("DATABASE_URL"), reference) {
            (Some(url), _) if url.starts_with("sqlite:") => match sqlite_path(&url) {
                Some(path) => return Database::Sqlite(path),
                None => ("DATABASE_URL", Err("names no file".to_owned())),
            },
            (Some(url), _) => {
                let address = Address::parse(url.trim());
                ("DATABASE_URL", address.map_err(|fault| format!("cannot be used: {fault}")))
            }
            (None, Some(address)) => ("DATABASE_HOSTNAME", address),
            (None, None) => return Database::Sqlite(data_dir.join("posts.db")),
        };
        match address {
            Ok(address) => {
                self.warnings.extend(warning_to(&address, name));
                Database::Postgres(Box::new(address.with_prepared(is_prepared)))
            }
            Err(problem) => {
                self.faults.push(SettingError::new(name, problem, CURE));
                Database::Sqlite(PathBuf::new())
            }
        }
    }

    pub(super) fn policy(&mut self, is_reference: bool) -> Policy {
        let mut policy = if is_reference { Policy::reference() } else { Policy::default() };
        if self.is_given("DRAFT_VISIBILITY") {
            policy.drafts = self.choice(
                "DRAFT_VISIBILITY",
                DraftVisibility::Private,
                &[("private", DraftVisibility::Private), ("visible", DraftVisibility::Visible)],
            );
        }
        if self.is_given("POSTS_DEFAULT_LIMIT") {
            policy.posts_default_limit = match self.text("POSTS_DEFAULT_LIMIT") {
                text if text.eq_ignore_ascii_case("none") => None,
                _ => Some(self.number("POSTS_DEFAULT_LIMIT", 1..=1000)),
            };
        }
        if self.is_given("PUBLIC_EMAILS") {
            policy.public_emails = self.switch("PUBLIC_EMAILS");
        }
        policy.delete_requires_password = self.switch("DELETE_REQUIRES_PASSWORD");
        policy.sessions = SessionTimeouts {
            idle: self.days("REFRESH_TOKEN_EXPIRE_DAYS"),
            absolute: self.days("SESSION_EXPIRE_DAYS"),
        };
        self.password_rules(&mut policy.passwords);
        policy
    }

    pub(super) fn strength(&mut self) -> Argon2Params {
        let faults = self.faults.len();
        let strength = Argon2Params {
            memory_kib: self.number("ARGON2_MEMORY_KIB", 8..=Argon2Params::MAXIMUM_MEMORY_KIB),
            iterations: self.number("ARGON2_ITERATIONS", 1..=Argon2Params::MAXIMUM_ITERATIONS),
            parallelism: self.number("ARGON2_PARALLELISM", 1..=Argon2Params::MAXIMUM_PARALLELISM),
        };
        // Of a stand-in nothing is said.
        if self.faults.len() == faults && !strength.is_bounded() {
            let text = strength.memory_kib.to_string();
            self.fault("ARGON2_MEMORY_KIB", &text, "give 8 for each lane at least");
        }
        strength
    }

    pub(super) fn trusted_proxies(&mut self, name: &str) -> TrustedProxies {
        let text = self.text(name);
        TrustedProxies::parse(&text).unwrap_or_else(|invalid| {
            self.fault(name, &invalid.0, "give addresses and networks like 10.0.0.1, 10.1.0.0/16");
            TrustedProxies::default()
        })
    }

    /// Each rate is read even if none counts: a fault is told before it is switched on.
    pub(super) fn rate_limits(&mut self) -> Option<RateLimitConfig> {
        let is_on = self.switch("RATE_LIMITS");
        let rates = RateLimitConfig {
            login_ip: self.rate("RATE_LIMIT_LOGIN_IP"),
            login_account: self.rate("RATE_LIMIT_LOGIN_ACCOUNT"),
            login_locked: self.rate("RATE_LIMIT_LOGIN_LOCKED"),
            login_lockout_threshold: self.number("LOGIN_LOCKOUT_THRESHOLD", 1..=100),
            sign_up: self.rate("RATE_LIMIT_SIGN_UP"),
            writes: self.rate("RATE_LIMIT_WRITES"),
        };
        is_on.then_some(rates)
    }

    pub(super) fn origins(&mut self, name: &str) -> AllowedOrigins {
        let text = self.text(name);
        AllowedOrigins::parse(&text).unwrap_or_else(|invalid| {
            self.fault(name, &invalid.0, "give `*`, or origins like https://app.example.org");
            AllowedOrigins::Any
        })
    }

    pub(super) fn root_path(&mut self, name: &str) -> String {
        let text = self.text(name);
        let path = text.trim_end_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let is_usable = path.is_empty() || path.starts_with('/');
        if !is_usable || !path.bytes().all(is_plain) {
            self.fault(name, &text, "give a path like /api");
        }
        path.to_owned()
    }

    fn rate(&mut self, name: &str) -> Option<Rate> {
        let text = self.text(name);
        if text.eq_ignore_ascii_case("off") {
            return None;
        }
        let rate = Rate::parse(&text);
        if rate.is_none() {
            self.fault(name, &text, "give a number and a time, like 20/5m or 300/1h, or off");
        }
        rate
    }

    fn password_rules(&mut self, rules: &mut PasswordRules) {
        if self.is_given("PASSWORD_MIN_LENGTH") {
            rules.minimum_length = self.number("PASSWORD_MIN_LENGTH", 0..=4096);
        }
        if self.is_given("PASSWORD_BLOCKLIST") {
            rules.blocklist = self.switch("PASSWORD_BLOCKLIST");
        }
        rules.forbidden_words = self.forbidden_words();
    }

    fn forbidden_words(&mut self) -> Vec<String> {
        const NAME: &str = "PASSWORD_FORBIDDEN_WORDS";
        const SHORTEST: usize = 3;
        let text = fold_case(&self.text(NAME));
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_owned).collect();
        if let Some(short) = words.iter().find(|word| word.chars().count() < SHORTEST) {
            self.fault(NAME, short, "give words of three characters or more, separated by commas");
        }
        words
    }

    /// The database that the reference's five settings name; all or none must be there.
    fn reference_database(&mut self) -> Option<Result<Address, String>> {
        const NAMES: [&str; 4] =
            ["DATABASE_HOSTNAME", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USERNAME"];
        let password = self.secret("DATABASE_PASSWORD");
        let mut missing: Vec<&str> =
            NAMES.into_iter().filter(|name| !self.is_given(name)).collect();
        if password.is_none() {
            missing.push("DATABASE_PASSWORD");
        }
        if missing.len() == NAMES.len() + 1 || self.source.is_given("DATABASE_URL") {
            return None;
        }
        for name in &missing {
            self.faults.push(SettingError::new(
                name,
                "is missing",
                "give all five of DATABASE_…, or none",
            ));
        }
        if !missing.is_empty() {
            return None;
        }
        let port = self.number("DATABASE_PORT", 1..=u16::MAX);
        let [host, name, user] =
            ["DATABASE_HOSTNAME", "DATABASE_NAME", "DATABASE_USERNAME"].map(|name| self.text(name));
        let address = Address::from_parts(&host, port, &name, &user, &password.unwrap_or_default());
        Some(address.map_err(|fault| fault.to_string()))
    }

    fn days(&mut self, name: &str) -> SignedDuration {
        SignedDuration::from_hours(24 * self.number(name, 1..=3650_i64))
    }

    fn is_given(&self, name: &str) -> bool {
        self.source.get(name).is_some()
    }

    pub(super) fn secret(&mut self, name: &'static str) -> Option<String> {
        if let Some(path) = self.source.secret_file(name) {
            self.warnings.extend(warning_of(path, &format!("{name}_FILE")));
        }
        self.source.get_secret(name).unwrap_or_else(|fault| {
            self.faults.push(fault);
            None
        })
    }

    fn fault(&mut self, name: &str, text: &str, hint: impl Into<String>) {
        self.faults.push(SettingError::new(name, format!("{text:?} cannot be used"), hint));
    }
}

/// The file that `sqlite:PATH` names. SQLite takes an empty name and `:memory:` for databases
/// that each connection has for itself and that end with it.
fn sqlite_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path).trim();
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}

fn default_of(name: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default)
}
