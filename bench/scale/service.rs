//! Runs the whole service in this process, on an existing database.

#![expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use http_body_util::BodyExt as _;
use post_api::api;
use post_api::api::{
    Administration, AppState, Background, ChangeFeed, Documentation, InstallationKeys, LargeWork,
    Rankings, Shutdown,
};
use post_api::auth::{Algorithm, Argon2Params, Passwords, Tokens};
use post_api::client_limits::ClientLimits;
use post_api::clock::{Clock as _, SystemClock};
use post_api::domain::policy::Policy;
use post_api::domain::user::{TokensValidFrom, UserId};
use post_api::metrics::Traffic;
use post_api::rate_limits::{LIMIT_NAMES, RateLimits};
use post_api::server::{
    AllowedOrigins, AppService, MiddlewareConfig, TrustedProxies, with_middleware,
};
use post_api::store::sqlite::SqliteStore;
use secrecy::SecretString;
use tower::ServiceExt as _;

use super::seed::{AUTHORS, VOTERS};

#[derive(Clone)]
pub(crate) struct Service {
    routes: AppService,
    /// One `Authorization` value per voter.
    tokens: Arc<Vec<String>>,
    /// The number of posts at the start. Their IDs are 1 to this number.
    pub(crate) posts: i64,
}

#[derive(Clone)]
pub(crate) struct ApiRequest {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: String,
    /// The index of the voter that sends the request.
    pub(crate) voter: usize,
    pub(crate) expected_status: u16,
}

impl Service {
    pub(crate) fn start(database: &Path, posts: i64) -> Self {
        let clock = Arc::new(SystemClock);
        let secret = SecretString::from("for measurements only: 0123456789abcdefghijklmnopqrstuv");
        let lifetime = Duration::from_hours(24);
        let issuer = || Tokens::new(&secret, Algorithm::HS256, lifetime, clock.clone()).unwrap();
        let tokens = issuer();
        let tokens = (AUTHORS + 1..=AUTHORS + VOTERS)
            .map(|voter| {
                format!(
                    "Bearer {}",
                    tokens.issue(UserId(voter), TokensValidFrom::default()).unwrap()
                )
            })
            .collect();
        let strength = Argon2Params { memory_kib: 8, iterations: 1, parallelism: 1 };
        let app = AppState {
            store: Arc::new(SqliteStore::open(database).unwrap()),
            passwords: Passwords::new(strength, NonZeroUsize::MIN).unwrap(),
            tokens: issuer(),
            clock,
            policy: Policy::default(),
            rate_limits: RateLimits::off(),
            background: Background::default(),
            shutdown: Shutdown::default(),
            documentation: Documentation::default(),
            large_work: LargeWork::default(),
            installation_keys: InstallationKeys::default(),
            rankings: Rankings::default(),
            mails: None,
            changes: ChangeFeed::default(),
            administration: Administration::new(
                SystemClock.now(),
                Arc::new(Traffic::new(LIMIT_NAMES)),
            ),
            metrics: Arc::default(),
            root_path: String::new(),
        };
        let middleware = MiddlewareConfig {
            origins: AllowedOrigins::Any,
            access_log: false,
            client_limits: ClientLimits::default(),
            trusted_proxies: TrustedProxies::default(),
            metrics: None,
            traffic: Arc::new(Traffic::new(LIMIT_NAMES)),
        };
        let routes = with_middleware(api::routes(app, api::PageSwitches::default()), middleware);
        Self { routes, tokens: Arc::new(tokens), posts }
    }

    /// Sends the request and returns the body of the response. Panics if the status is not the
    /// expected one.
    pub(crate) async fn send(&self, request: ApiRequest) -> Bytes {
        let token = self.tokens.get(request.voter % self.tokens.len()).unwrap();
        let http_request = Request::builder()
            .method(request.method)
            .uri(request.path)
            .header("host", "localhost")
            .header("authorization", token)
            .header("content-type", "application/json")
            .body(Body::from(request.body))
            .unwrap();
        let response = self.routes.clone().oneshot(http_request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let status = parts.status.as_u16();
        assert_eq!(status, request.expected_status, "{}", String::from_utf8_lossy(&body));
        body
    }
}
