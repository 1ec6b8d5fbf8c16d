//! The configuration of a service in this process.

use post_api::api::{ChangeFeed, PageSwitches};
use post_api::auth::{Algorithm, Argon2Params, Keys};
use post_api::client_limits::ClientLimits;
use post_api::domain::policy::Policy;
use post_api::rate_limits::{MailRates, RateLimitConfig};
use post_api::server::{AllowedOrigins, TrustedProxies};
use secrecy::SecretString;

/// The cheapest hash that Argon2 allows: most tests do not depend on its cost.
pub const CHEAP: Argon2Params = Argon2Params { memory_kib: 8, iterations: 1, parallelism: 1 };

/// The secret with which every [`TestApp`](super::TestApp) signs.
pub const SECRET: &str = "for tests only: 0123456789abcdefghijklmnopqrstuvwxyz and some more";

/// The configuration of a [`TestApp`](super::TestApp).
pub struct Setup {
    pub engine: Engine,
    pub keys: fn() -> Keys,
    pub policy: Policy,
    pub strength: Argon2Params,
    /// Hashing threads. The length of their queue is proportional to their number.
    pub threads: usize,
    pub origins: AllowedOrigins,
    pub client_limits: ClientLimits,
    /// No limits by default, so that other tests can write without a bound.
    pub rates: Option<RateLimitConfig>,
    /// No limits on mails by default.
    pub mail_rates: MailRates,
    pub trusted_proxies: TrustedProxies,
    pub pages: PageSwitches,
    pub root_path: String,
    pub changes: ChangeFeed,
    /// Whether accepted requests must follow the document, as responses always do.
    pub checks_requests: bool,
    /// Whether the service sends mails: it keeps them in [`TestApp::outbox`](super::TestApp).
    pub sends_mail: bool,
}

/// The database of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// Reads `TEST_STORE`; the default is SQLite.
    fn from_environment() -> Self {
        match std::env::var("TEST_STORE").as_deref() {
            Ok("postgres") => Self::Postgres,
            Ok("sqlite") | Err(_) => Self::Sqlite,
            Ok(other) => panic!("TEST_STORE must be sqlite or postgres, not {other}"),
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            engine: Engine::from_environment(),
            keys: default_keys,
            policy: Policy::default(),
            strength: CHEAP,
            threads: 1,
            origins: AllowedOrigins::Any,
            client_limits: ClientLimits::default(),
            rates: None,
            mail_rates: MailRates { client: None, account: None },
            trusted_proxies: TrustedProxies::default(),
            pages: PageSwitches { docs: true, front_page: true },
            root_path: String::new(),
            changes: ChangeFeed::default(),
            checks_requests: true,
            sends_mail: true,
        }
    }
}

/// Returns the default keys of a [`TestApp`](super::TestApp).
fn default_keys() -> Keys {
    Keys::of_secret(&SecretString::from(SECRET), Algorithm::HS256).unwrap()
}
