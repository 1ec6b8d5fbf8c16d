//! A server that verifies the token and returns a fixed response: the whole HTTP stack of the
//! service without its store, and so the upper bound of its read throughput.

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use post_api::api::{
    Administration, AppState, Background, ChangeFeed, Documentation, InstallationKeys, LargeWork,
    Rankings, Shutdown,
};
use post_api::auth::{Argon2Params, Passwords};
use post_api::client_limits::ClientLimits;
use post_api::clock::{Clock as _, SystemClock};
use post_api::domain::caller::Caller;
use post_api::domain::policy::Policy;
use post_api::metrics::Traffic;
use post_api::rate_limits::{LIMIT_NAMES, RateLimits};
use post_api::server::{self, AllowedOrigins, Limits, MiddlewareConfig, TrustedProxies};
use post_api::store::sqlite::SqliteStore;

use crate::seed::issuer;

/// As long as the response of `GET /posts/{id}`.
const RESPONSE: &str = concat!(
    r#"{"Post":{"title":"Post 1234","content":"A text of some length, as it stands in a post "#,
    r#"that a person wrote on a train: about the weather, the coffee, and the view of the hills "#,
    r#"behind the lake.","published":true,"id":1234,"created_at":"2025-01-31T12:00:00.123456Z","#,
    r#""owner_id":1234},"votes":0}"#,
);

/// Serves until the process is killed. Opens the database, as the service does, but never reads it.
pub fn serve(port: u16, database: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(server::server_threads())
        .enable_all()
        .build()?;
    // The store starts a task.
    let _context = runtime.enter();
    let strength = Argon2Params { memory_kib: 8, iterations: 1, parallelism: 1 };
    let app = AppState {
        store: Arc::new(SqliteStore::open(database)?),
        passwords: Passwords::new(strength, NonZeroUsize::MIN)?,
        tokens: issuer()?,
        clock: Arc::new(SystemClock),
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
        administration: Administration::new(SystemClock.now(), Arc::new(Traffic::new(LIMIT_NAMES))),
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
    let routes = Router::new().route("/noop", get(respond)).with_state(Arc::new(app));
    let routes = server::with_middleware(routes, middleware);
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        server::serve(listener, routes, Limits::default(), None, std::future::pending()).await?;
        Ok(())
    })
}

async fn respond(_: Caller) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], RESPONSE)
}
