//! Parses the values of all settings. After an error the parser continues with a substitute value,
//! to find all errors. The caller never sees a substitute: settings are returned only if there is
//! no error.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use jiff::SignedDuration;
use tracing::level_filters::LevelFilter;

use super::definitions as row;
use super::file_permissions::exposed_file;
use super::setting::Setting;
use super::source::Source;
use super::{LogFormat, SettingError, TlsFiles};
use crate::auth::{Algorithm, Argon2Params, fold_case};
use crate::domain::policy::{DraftVisibility, PasswordRules, Policy, SessionTimeouts};
use crate::rate_limits::{Rate, RateLimitConfig};
use crate::server::{AllowedOrigins, TrustedProxies};

pub(super) struct Parser<'a> {
    pub(super) source: &'a Source,
    pub(super) errors: Vec<SettingError>,
    pub(super) warnings: Vec<SettingError>,
    /// Whether the defaults are those of the reference service.
    pub(super) is_reference: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        let warnings = source.warnings.clone();
        let mut parser =
            Self { source, errors: source.errors.clone(), warnings, is_reference: false };
        parser.is_reference =
            parser.choice(&row::COMPAT, false, &[("", false), ("reference", true)]);
        parser
    }

    pub(super) fn finish<T>(self, settings: T) -> Result<T, Vec<SettingError>> {
        if self.errors.is_empty() { Ok(settings) } else { Err(self.errors) }
    }

    /// Returns the value, or the default if there is none.
    pub(super) fn text(&self, setting: &Setting) -> &'a str {
        self.source.get(setting.name).unwrap_or(setting.default_for(self.is_reference))
    }

    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        self.source.get(setting.name).is_some()
    }

    /// Returns the value as a number. A number outside the range of the setting is an error.
    pub(super) fn int<T: TryFrom<u64> + Default>(&mut self, setting: &Setting) -> T {
        let text = self.text(setting);
        let range = setting.range.clone().unwrap_or(0..=u64::MAX);
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).unwrap_or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.reject(setting, text, format!("give a number from {least} to {most}"));
            T::default()
        })
    }

    pub(super) fn optional_int<T: TryFrom<u64> + Default>(
        &mut self,
        setting: &Setting,
        none: &str,
    ) -> Option<T> {
        let is_none = self.text(setting).eq_ignore_ascii_case(none);
        (!is_none).then(|| self.int(setting))
    }

    pub(super) fn switch(&mut self, setting: &Setting) -> bool {
        let text = self.text(setting);
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "1" => true,
            "off" | "false" | "0" => false,
            _ => {
                self.reject(setting, text, "give on or off");
                false
            }
        }
    }

    /// Returns the choice with this word, in any case. Any other word is an error.
    pub(super) fn choice<T: Copy>(
        &mut self,
        setting: &Setting,
        substitute: T,
        choices: &[(&str, T)],
    ) -> T {
        let text = self.text(setting);
        let is_chosen = |(word, _): &&(&str, T)| word.eq_ignore_ascii_case(text);
        if let Some((_, chosen)) = choices.iter().find(is_chosen) {
            return *chosen;
        }
        let words = choices.iter().map(|(word, _)| *word).filter(|word| !word.is_empty());
        let words: Vec<_> = words.collect();
        self.reject(setting, text, format!("give {}", words.join(" or ")));
        substitute
    }

    /// Returns the secret, from the setting or from the file that `NAME_FILE` names.
    pub(super) fn secret(&mut self, setting: &Setting) -> Option<String> {
        if let Some(path) = self.source.secret_file(setting.name) {
            self.warnings.extend(exposed_file(path, &format!("{}_FILE", setting.name)));
        }
        self.source.get_secret(setting.name).unwrap_or_else(|error| {
            self.errors.push(error);
            None
        })
    }

    pub(super) fn tls(&mut self) -> Option<TlsFiles> {
        let (certificate, key) = (self.text(&row::TLS_CERT), self.text(&row::TLS_KEY));
        let (setting, problem) = match (certificate.is_empty(), key.is_empty()) {
            (true, true) => return None,
            (false, true) => (&row::TLS_CERT, "is set without TLS_KEY"),
            (true, false) => (&row::TLS_KEY, "is set without TLS_CERT"),
            (false, false) => {
                self.warnings.extend(exposed_file(Path::new(key), row::TLS_KEY.name));
                return Some(TlsFiles { certificate: certificate.into(), key: key.into() });
            }
        };
        self.errors.push(SettingError::new(setting.name, problem, "set both of them, or neither"));
        None
    }

    pub(super) fn algorithm(&mut self) -> Algorithm {
        const ALGORITHMS: [Algorithm; 6] = [
            Algorithm::HS256,
            Algorithm::HS384,
            Algorithm::HS512,
            Algorithm::RS256,
            Algorithm::ES256,
            Algorithm::EdDSA,
        ];
        let choices = ALGORITHMS.map(|algorithm| (algorithm.name(), algorithm));
        self.choice(&row::ALGORITHM, Algorithm::HS256, &choices)
    }

    pub(super) fn log_format(&mut self) -> LogFormat {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        self.choice(&row::LOG_FORMAT, LogFormat::Text, &formats)
    }

    /// Also accepts the names of Python's levels, with which the reference service may be set up.
    pub(super) fn log_level(&mut self) -> LevelFilter {
        let choices = [
            ("info", LevelFilter::INFO),
            ("error", LevelFilter::ERROR),
            ("critical", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("warning", LevelFilter::WARN),
            ("debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ];
        self.choice(&row::LOG_LEVEL, LevelFilter::INFO, &choices)
    }

    pub(super) fn policy(&mut self) -> Policy {
        Policy {
            draft_visibility: self.choice(
                &row::DRAFT_VISIBILITY,
                DraftVisibility::Private,
                &[("private", DraftVisibility::Private), ("visible", DraftVisibility::Visible)],
            ),
            posts_default_limit: self.optional_int(&row::POSTS_DEFAULT_LIMIT, "none"),
            public_emails: self.switch(&row::PUBLIC_EMAILS),
            anonymous_reads: self.switch(&row::ANONYMOUS_READS),
            passwords: PasswordRules {
                minimum_length: self.int(&row::PASSWORD_MIN_LENGTH),
                blocklist: self.switch(&row::PASSWORD_BLOCKLIST),
                forbidden_words: self.forbidden_words(),
            },
            delete_requires_password: self.switch(&row::DELETE_REQUIRES_PASSWORD),
            sessions: SessionTimeouts {
                idle: self.days(&row::REFRESH_TOKEN_EXPIRE_DAYS),
                absolute: self.days(&row::SESSION_EXPIRE_DAYS),
            },
        }
    }

    pub(super) fn argon2_params(&mut self) -> Argon2Params {
        let errors = self.errors.len();
        let params = Argon2Params {
            memory_kib: self.int(&row::ARGON2_MEMORY_KIB),
            iterations: self.int(&row::ARGON2_ITERATIONS),
            parallelism: self.int(&row::ARGON2_PARALLELISM),
        };
        // After an error the parameters contain substitutes, which need no check.
        if self.errors.len() == errors && !params.is_bounded() {
            let text = params.memory_kib.to_string();
            self.reject(&row::ARGON2_MEMORY_KIB, &text, "give at least 8 for each lane");
        }
        params
    }

    pub(super) fn trusted_proxies(&mut self) -> TrustedProxies {
        TrustedProxies::parse(self.text(&row::TRUSTED_PROXIES)).unwrap_or_else(|invalid| {
            let hint = "give IP addresses and networks like 10.0.0.1, 10.1.0.0/16";
            self.reject(&row::TRUSTED_PROXIES, &invalid.0, hint);
            TrustedProxies::default()
        })
    }

    /// Checks each rate even if the limits are off, so that turning them on causes no error.
    pub(super) fn rate_limits(&mut self) -> Option<RateLimitConfig> {
        let is_on = self.switch(&row::RATE_LIMITS);
        let rates = RateLimitConfig {
            login_ip: self.rate(&row::RATE_LIMIT_LOGIN_IP),
            login_account: self.rate(&row::RATE_LIMIT_LOGIN_ACCOUNT),
            login_locked: self.rate(&row::RATE_LIMIT_LOGIN_LOCKED),
            login_lockout_threshold: self.int(&row::LOGIN_LOCKOUT_THRESHOLD),
            sign_up: self.rate(&row::RATE_LIMIT_SIGN_UP),
            writes: self.rate(&row::RATE_LIMIT_WRITES),
            exports: self.rate(&row::RATE_LIMIT_EXPORTS),
            ..RateLimitConfig::default()
        };
        is_on.then_some(rates)
    }

    pub(super) fn cors_origins(&mut self) -> AllowedOrigins {
        let origins = AllowedOrigins::parse(self.text(&row::CORS_ORIGINS));
        let origins = origins.unwrap_or_else(|invalid| {
            let hint = match without_default_port(&invalid.0) {
                Some(sent) => format!("give {sent}: browsers leave the default port out"),
                None => "give `*`, or origins like https://app.example.org, as browsers send them"
                    .to_owned(),
            };
            self.reject(&row::CORS_ORIGINS, &invalid.0, hint);
            AllowedOrigins::Listed(Vec::new())
        });
        if !self.switch(&row::CORS_CREDENTIALS) {
            return origins;
        }
        origins.with_credentials().unwrap_or_else(|| {
            let hint =
                "list the origins in CORS_ORIGINS, because browsers send no credentials to `*`";
            self.reject(&row::CORS_CREDENTIALS, "on", hint);
            AllowedOrigins::Any
        })
    }

    /// Returns the host, without the brackets that an IPv6 address has in a URL.
    pub(super) fn host(&self) -> String {
        let text = self.text(&row::HOST);
        let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        inside.filter(|inside| inside.parse::<Ipv6Addr>().is_ok()).unwrap_or(text).to_owned()
    }

    pub(super) fn metrics_address(&mut self) -> Option<SocketAddr> {
        let text = self.text(&row::METRICS_ADDRESS);
        if text.is_empty() {
            return None;
        }
        let address = text.parse().ok();
        if address.is_none() {
            let hint = "give an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464";
            self.reject(&row::METRICS_ADDRESS, text, hint);
        }
        address
    }

    pub(super) fn root_path(&mut self) -> String {
        let text = self.text(&row::ROOT_PATH);
        let path = text.strip_suffix('/').unwrap_or(text);
        if !is_absolute_path(path) {
            self.reject(&row::ROOT_PATH, text, "give a path like /api");
        }
        path.to_owned()
    }

    pub(super) fn rate(&mut self, setting: &Setting) -> Option<Rate> {
        let text = self.text(setting);
        if text.eq_ignore_ascii_case("off") {
            return None;
        }
        let rate = Rate::parse(text);
        if rate.is_none() {
            self.reject(setting, text, "give a number and a time, like 20/5m or 300/1h, or off");
        }
        rate
    }

    fn forbidden_words(&mut self) -> Vec<String> {
        const SHORTEST: usize = 3;
        let text = fold_case(self.text(&row::PASSWORD_FORBIDDEN_WORDS));
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_owned).collect();
        if let Some(short) = words.iter().find(|word| word.chars().count() < SHORTEST) {
            let hint = "give words of three characters or more, separated by commas";
            self.reject(&row::PASSWORD_FORBIDDEN_WORDS, short, hint);
        }
        words
    }

    fn days(&mut self, setting: &Setting) -> SignedDuration {
        SignedDuration::from_hours(24 * self.int::<i64>(setting))
    }

    pub(super) fn reject(&mut self, setting: &Setting, text: &str, hint: impl Into<String>) {
        let problem = format!("{text:?} cannot be used");
        self.errors.push(SettingError::new(setting.name, problem, hint));
    }
}

/// Returns whether the path is empty or consists of segments that each begin with `/`. A browser reads
/// `//` at the beginning as the name of a host, and removes the segments `.` and `..`.
fn is_absolute_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
    path.is_empty() || path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}

fn without_default_port(origin: &str) -> Option<&str> {
    let default_port = if origin.starts_with("https://") { ":443" } else { ":80" };
    origin.strip_suffix(default_port)
}
