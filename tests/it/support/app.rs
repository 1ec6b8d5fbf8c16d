//! The whole service in this process, on its own database.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderValue, Request};
use jiff::Timestamp;
use post_api::api::{
    self, ApiMetrics, AppState, Background, Documentation, LargeWork, Shutdown, openapi,
};
use post_api::auth::{Keys, Passwords, Tokens};
use post_api::clock::Clock as _;
use post_api::domain::policy::Policy;
use post_api::domain::user::{TokensValidFrom, UserId};
use post_api::mail::Mailer;
use post_api::metrics::Traffic;
use post_api::rate_limits::{LIMIT_NAMES, MailRates, MonotonicClock, RateLimitConfig, RateLimits};
use post_api::server::{AppService, MiddlewareConfig, with_middleware};
use post_api::store::Store;
use post_api::store::postgres::PostgresStore;
use post_api::store::sqlite::SqliteStore;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::setup::{Engine, Setup};
use super::{
    Cluster, DocumentChecker, Outbox, PostgresDatabase, SentRequest, TestCaller, TestClock,
    TestResponse, create_sqlite_file, read_body,
};

/// A password that the password policy accepts.
pub const PASSWORD: &str = "plum lantern 83 quay";

/// The media type of the forms that browsers and OAuth2 clients send.
pub const FORM: &str = "application/x-www-form-urlencoded";

pub struct TestApp {
    pub clock: Arc<TestClock>,
    pub store: Arc<dyn Store>,
    pub rate_limits: RateLimits,
    pub background: Background,
    pub outbox: Outbox,
    pub(super) mailer: Option<Mailer>,
    pub traffic: Arc<Traffic>,
    pub metrics: Arc<ApiMetrics>,
    routes: AppService,
    keys: fn() -> Keys,
    checker: Arc<DocumentChecker>,
    checks_requests: bool,
    /// Removed when the test ends.
    pub(super) database: TestDatabase,
}

impl TestApp {
    /// Starts the service with the default policy.
    pub async fn start() -> Self {
        Self::with(Policy::default()).await
    }

    pub async fn with(policy: Policy) -> Self {
        Self::set_up(Setup { policy, ..Setup::default() }).await
    }

    pub async fn set_up(setup: Setup) -> Self {
        let (store, database) = open_store(setup.engine).await;
        Self::build(setup, Arc::new(TestClock::default()), store, database)
    }

    /// Returns a second service on the same database. The first must outlive it. On SQLite both use
    /// the same store, as only PostgreSQL serves several processes.
    pub fn replica(&self) -> Self {
        self.replica_with(Setup::default())
    }

    /// Like [`Self::replica`], with another configuration.
    pub fn replica_with(&self, setup: Setup) -> Self {
        let clock = Arc::clone(&self.clock);
        match &self.database {
            TestDatabase::Postgres(database) => {
                let store = Arc::new(PostgresStore::open(&database.address()).unwrap());
                Self::build(setup, clock, store, TestDatabase::Shared)
            }
            TestDatabase::Sqlite(_) | TestDatabase::Shared => {
                Self::build(setup, clock, Arc::clone(&self.store), TestDatabase::Shared)
            }
        }
    }

    pub(super) fn build(
        setup: Setup,
        clock: Arc<TestClock>,
        store: Arc<dyn Store>,
        database: TestDatabase,
    ) -> Self {
        let threads = NonZeroUsize::new(setup.threads).unwrap();
        let document = openapi::document(&setup.root_path, &setup.policy);
        let outbox = Outbox::default();
        let mails = setup.sends_mail.then(|| outbox.mails(&(setup.keys)()));
        let app = AppState {
            store: store.clone(),
            passwords: Passwords::new(setup.strength, threads).unwrap(),
            tokens: tokens((setup.keys)(), &clock),
            clock: clock.clone(),
            policy: setup.policy,
            rate_limits: rate_limits(setup.rates, &setup.mail_rates, &clock, &store),
            background: Background::default(),
            shutdown: Shutdown::default(),
            documentation: Documentation::default(),
            large_work: LargeWork::default(),
            installation_keys: api::InstallationKeys::default(),
            rankings: api::Rankings::default(),
            mails,
            administration: api::Administration::new(
                clock.now(),
                Arc::new(Traffic::new(LIMIT_NAMES)),
            ),
            changes: setup.changes,
            metrics: Arc::default(),
            root_path: setup.root_path,
        };
        let middleware = MiddlewareConfig {
            origins: setup.origins,
            access_log: false,
            client_limits: setup.client_limits,
            trusted_proxies: setup.trusted_proxies,
            metrics: None,
            traffic: Arc::clone(&app.administration.traffic),
        };
        let mailer = app.mails.as_ref().map(|mails| mails.mailer.clone());
        let traffic = Arc::clone(&app.administration.traffic);
        let metrics = Arc::clone(&app.metrics);
        let (rate_limits, background) = (app.rate_limits.clone(), app.background.clone());
        let routes = with_middleware(api::routes(app, setup.pages), middleware);
        Self {
            clock,
            store,
            rate_limits,
            background,
            outbox,
            mailer,
            traffic,
            metrics,
            routes,
            keys: setup.keys,
            checker: DocumentChecker::of(&document),
            checks_requests: setup.checks_requests,
            database,
        }
    }

    /// Returns everything that the database stores, as raw bytes or as a dump.
    pub fn stored_bytes(&self) -> Vec<u8> {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                let files = ["posts.db", "posts.db-wal"].map(|file| folder.path().join(file));
                files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
            }
            TestDatabase::Postgres(database) => database.dump().into_bytes(),
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }

    /// Returns the first two columns of each row as texts, without the service.
    pub fn query_pairs(&self, sql: &str) -> Vec<(String, String)> {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                let connection = Connection::open(folder.path().join("posts.db")).unwrap();
                let mut statement = connection.prepare(sql).unwrap();
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                rows.map(Result::unwrap).collect()
            }
            TestDatabase::Postgres(database) => database.query_pairs(sql),
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }

    /// Runs the statements without the service.
    pub fn execute(&self, sql: &str) {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                let connection = Connection::open(folder.path().join("posts.db")).unwrap();
                // On a busy machine the service's writer may hold the lock for long.
                connection.busy_timeout(Duration::from_mins(1)).unwrap();
                connection.pragma_update(None, "foreign_keys", true).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            TestDatabase::Postgres(database) => database.execute(sql),
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn anonymous(&self) -> TestCaller<'_> {
        TestCaller::new(self, None, 0)
    }

    /// Creates the account `NAME@example.com` and returns a caller with a token for it.
    pub async fn signed_in(&self, name: &str) -> TestCaller<'_> {
        let id = self.sign_up(name).await;
        TestCaller::new(self, Some(self.token_for(id)), id)
    }

    /// Returns the token that a login would issue now.
    pub fn token_for(&self, id: i64) -> String {
        let tokens = tokens((self.keys)(), &self.clock);
        tokens.issue(UserId(id), TokensValidFrom::default()).unwrap()
    }

    /// Sends the login form.
    pub async fn log_in(&self, username: &str, password: &str) -> TestResponse {
        self.send(self.login_form(username, password)).await
    }

    /// Logs in with the scope `offline_access` and returns the response, with its refresh token.
    pub async fn start_session(&self, email: &str) -> Value {
        let form = [("username", email), ("password", PASSWORD), ("scope", "offline_access")];
        self.send_form(&form).await.expect(200).json()
    }

    /// Sends the refresh token to the login.
    pub async fn refresh(&self, token: &str) -> TestResponse {
        self.send_form(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn send_form(&self, fields: &[(&str, &str)]) -> TestResponse {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.anonymous().send_raw("POST", "/login", FORM, form).await
    }

    /// Sends the login form from this client IP.
    pub async fn log_in_from(&self, peer: &str, username: &str, password: &str) -> TestResponse {
        self.send_from(peer, self.login_form(username, password)).await
    }

    fn login_form(&self, username: &str, password: &str) -> Request<Body> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", username)
            .append_pair("password", password)
            .finish();
        let request = self.anonymous().request("POST", "/login").header("content-type", FORM);
        request.body(Body::from(form)).unwrap()
    }

    /// Creates the account `NAME@example.com` and returns its ID.
    pub async fn sign_up(&self, name: &str) -> i64 {
        let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let response = self.anonymous().post("/users", &account).await.expect(201);
        response.json()["id"].as_i64().unwrap()
    }

    /// Returns a caller that sends this text as its token.
    pub fn with_token(&self, token: &str) -> TestCaller<'_> {
        TestCaller::new(self, Some(token.to_owned()), 0)
    }

    /// Returns all routes, for a listener.
    pub fn routes(&self) -> AppService {
        self.routes.clone()
    }

    /// Sends the request unchanged.
    pub async fn send(&self, request: Request<Body>) -> TestResponse {
        self.send_to(self.routes.clone(), request).await
    }

    /// Sends the request over a connection from this client IP.
    pub async fn send_from(&self, peer: &str, request: Request<Body>) -> TestResponse {
        let peer: IpAddr = peer.parse().unwrap();
        self.send_to(self.routes.for_peer((peer, 4711).into(), false), request).await
    }

    /// Sends the request, and holds it and its response against the document.
    async fn send_to(&self, routes: AppService, mut request: Request<Body>) -> TestResponse {
        // The listener rejects a request without it.
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        let (request, sent) = SentRequest::record(request);
        let response = routes.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = read_body(&parts.headers, body).await;
        let response = TestResponse { status: parts.status, headers: parts.headers, body };
        let sent = sent();
        self.checker.check_response(&sent, &response);
        if self.checks_requests {
            self.checker.check_request(&sent, &response);
        }
        response
    }
}

/// The database of a [`TestApp`], removed when the app is dropped.
pub(super) enum TestDatabase {
    Sqlite(TempDir),
    Postgres(PostgresDatabase<'static>),
    /// Owned by the app of which this one is a replica.
    Shared,
}

/// Opens an empty store.
pub(super) async fn open_store(engine: Engine) -> (Arc<dyn Store>, TestDatabase) {
    match engine {
        Engine::Postgres => {
            let database = Cluster::shared().database();
            let store = PostgresStore::open(&database.address()).unwrap();
            (Arc::new(store), TestDatabase::Postgres(database))
        }
        Engine::Sqlite => {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("posts.db");
            create_sqlite_file(&path).await;
            (Arc::new(SqliteStore::open(&path).unwrap()), TestDatabase::Sqlite(folder))
        }
    }
}

/// Builds the rate limits on the clock that everything else uses.
fn rate_limits(
    rates: Option<RateLimitConfig>,
    mail_rates: &MailRates,
    clock: &Arc<TestClock>,
    store: &Arc<dyn Store>,
) -> RateLimits {
    let monotonic: Arc<dyn MonotonicClock> = clock.clone();
    let limits = |rates| RateLimits::new(&rates, &monotonic, store.clone(), clock.clone(), [7; 32]);
    rates.map_or_else(RateLimits::off, limits).with_mails(mail_rates, &monotonic, [7; 32])
}

fn tokens(keys: Keys, clock: &Arc<TestClock>) -> Tokens {
    Tokens::with_keys(keys, Duration::from_mins(30), clock.clone()).unwrap()
}
