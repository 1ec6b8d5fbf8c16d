//! Server errors: a panic or a failing store fails only its own request. The client gets no cause.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use post_api::api;
use post_api::api::{
    Administration, AppState, Background, ChangeFeed, Documentation, InstallationKeys, LargeWork,
    Mails, Rankings, Shutdown,
};
use post_api::auth::{Algorithm, MailLinks, Passwords, Tokens};
use post_api::clock::Clock as _;
use post_api::domain::policy::Policy;
use post_api::domain::user::{TokensValidFrom, UserId};
use post_api::metrics::Traffic;
use post_api::rate_limits::{LIMIT_NAMES, RateLimits};
use post_api::server::{AppService, Limits, with_middleware};
use secrecy::SecretString;
use serde_json::json;
use tower::ServiceExt as _;

use super::failing_store::{CAUSE, FailingStore, Failure};
use crate::support::{CHEAP, Outbox, TestClock, TestResponse, TestServer, middleware_config};

/// Returns the service over such a store, and a valid token.
fn broken(failure: Failure) -> (AppService, String) {
    let clock = Arc::new(TestClock::default());
    let secret = SecretString::from("a secret of this test alone, 0123456789 abcdefghijkl");
    let lifetime = Duration::from_mins(30);
    let tokens = Tokens::new(&secret, Algorithm::HS256, lifetime, clock.clone()).unwrap();
    let token = tokens.issue(UserId(1), TokensValidFrom::default()).unwrap();
    let app = AppState {
        store: Arc::new(FailingStore(failure)),
        passwords: Passwords::new(CHEAP, NonZeroUsize::MIN).unwrap(),
        tokens,
        clock: clock.clone(),
        policy: Policy::default(),
        rate_limits: RateLimits::off(),
        background: Background::default(),
        shutdown: Shutdown::default(),
        documentation: Documentation::default(),
        large_work: LargeWork::default(),
        installation_keys: InstallationKeys::default(),
        rankings: Rankings::default(),
        mails: Some(Mails { mailer: Outbox::default().mailer(), links: MailLinks::new(&[1; 32]) }),
        changes: ChangeFeed::default(),
        administration: Administration::new(clock.now(), Arc::new(Traffic::new(LIMIT_NAMES))),
        metrics: Arc::default(),
        root_path: String::new(),
    };
    (with_middleware(api::routes(app, api::PageSwitches::default()), middleware_config()), token)
}

/// Returns the method, the path and the body of each request about links in mails.
fn link_requests() -> [(&'static str, &'static str, String); 4] {
    // Only the store can tell whether the link of account 1 is genuine.
    let mut link = [0xff; 48];
    link[..9].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0x7f]);
    let link = URL_SAFE_NO_PAD.encode(link);
    let reset = json!({"token": link, "new_password": "94 moss anchors"});
    [
        ("GET", "/users/me?include=verified", String::new()),
        ("POST", "/users/me/email/verifications", String::new()),
        ("POST", "/password-resets/confirm", reset.to_string()),
        ("POST", "/email-verifications", json!({"token": link}).to_string()),
    ]
}

fn administration_requests() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let paths = ["/admin/statistics", "/admin/users", "/admin/events"];
    paths.into_iter().map(|path| ("GET", path, String::new()))
}

fn login_request() -> Request<Body> {
    Request::post("/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("username=ada@example.com&password=x"))
        .unwrap()
}

/// Returns a request for each store method that a client can reach.
fn requests(token: &str) -> Vec<Request<Body>> {
    let account = json!({"email": "ada@example.com", "password": "plum lantern 83 quay"});
    let account_change = json!({"email": "ada@example.org", "current_password": "x"});
    let password_change = json!({"current_password": "x", "new_password": "94 moss anchors"});
    let post = json!({"title": "title", "content": "text"});
    let lines = [
        ("POST", "/users", account.to_string()),
        ("GET", "/users/1", String::new()),
        ("GET", "/users/me", String::new()),
        ("DELETE", "/users/1", String::new()),
        ("DELETE", "/users/me", String::new()),
        ("PATCH", "/users/me", account_change.to_string()),
        ("PATCH", "/users/me", json!({"name": "Ada"}).to_string()),
        ("GET", "/users/me/export", String::new()),
        ("GET", "/posts/changes", String::new()),
        ("POST", "/posts/changes/tickets", String::new()),
        ("GET", "/users/me/votes", String::new()),
        ("GET", "/users/me/votes?posts=1", String::new()),
        ("POST", "/users/me/password", password_change.to_string()),
        ("POST", "/logout", String::new()),
        ("GET", "/users/me/sessions", String::new()),
        ("GET", "/users/me/events", String::new()),
        ("DELETE", "/users/me/sessions", String::new()),
        ("DELETE", "/users/me/sessions/1", String::new()),
        ("POST", "/posts", post.to_string()),
        ("GET", "/posts/1", String::new()),
        ("GET", "/posts", String::new()),
        ("PUT", "/posts/1", post.to_string()),
        ("DELETE", "/posts/1", String::new()),
        ("POST", "/vote", json!({"post_id": 1, "dir": 1}).to_string()),
        ("POST", "/vote", json!({"post_id": 1, "dir": 9}).to_string()),
        ("GET", "/posts/x", String::new()),
        ("GET", "/readyz", String::new()),
    ];
    let request = |(method, path, body): (&str, &str, String)| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap()
    };
    let with_key = |line| {
        let mut request: Request<Body> = request(line);
        request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        request
    };
    let keyed = [
        ("POST", "/users", account.to_string()),
        ("POST", "/posts", post.to_string()),
        ("PUT", "/posts/1", post.to_string()),
        ("DELETE", "/posts/1", String::new()),
        ("POST", "/vote", json!({"post_id": 1, "dir": 1}).to_string()),
    ];
    let keyed = keyed.into_iter().map(with_key);
    let lines = lines.into_iter().chain(link_requests()).chain(administration_requests());
    lines.map(request).chain(keyed).chain([login_request()]).collect()
}

async fn send(routes: &AppService, mut request: Request<Body>) -> TestResponse {
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    let response = routes.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    TestResponse { status: parts.status, headers: parts.headers, body }
}

/// The captured log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Captures what this thread logs from now on.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // `tracing` disables a call site that first logs on a thread without a subscriber. A global
        // subscriber keeps all call sites enabled.
        static GLOBAL_SUBSCRIBER: Once = Once::new();
        GLOBAL_SUBSCRIBER.call_once(|| {
            let global = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
            let _ = global.with_writer(io::sink).try_init();
        });
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            // At this level requests have no span.
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

#[tokio::test]
async fn store_failure_is_hidden_from_the_client_and_logged_once() {
    const LATER: &str = "the service is temporarily unavailable, try again later";
    const REFERENCED: &str = "other data refers to this, so it cannot be deleted";
    const FULL: &str = "the service is overloaded, try again later";
    let log = Log::default();
    let _guard = log.listen();
    let failures = [
        (Failure::Unavailable, 503, LATER, "2", 1),
        (Failure::Overloaded, 503, FULL, "2", 0),
        (Failure::Internal, 500, "Internal Server Error", "", 1),
        (Failure::Referenced, 409, REFERENCED, "", 1),
        (Failure::Panic, 500, "Internal Server Error", "", 1),
    ];
    for (failure, status, sentence, retry_after, lines) in failures {
        let (routes, token) = broken(failure);
        for request in requests(&token) {
            let name = format!("{failure:?}: {} {}", request.method(), request.uri());
            let response = send(&routes, request).await;
            let reason = reason_not_ready(failure).filter(|_| name.ends_with("/readyz"));
            let (status, sentence, retry_after) = match reason {
                Some(reason) => (503, reason, "2"),
                None => (status, sentence, retry_after),
            };
            assert_eq!(response.status, status, "{name}");
            assert_eq!(response.json(), json!({"detail": sentence}), "{name}");
            assert_eq!(response.header("retry-after"), retry_after, "{name}");
            assert_eq!(response.header("content-type"), "application/json", "{name}");
            assert_eq!(response.header("x-content-type-options"), "nosniff", "{name}");
            let logged = log.take();
            assert_eq!(logged.matches(CAUSE).count(), lines, "{name}: {logged}");
            if lines == 1 {
                let id = response.header("x-request-id");
                assert!(logged.contains(id), "{name}: the line has no request ID: {logged}");
            }
        }
        let live = Request::get("/livez").body(Body::empty()).unwrap();
        assert_eq!(send(&routes, live).await.status, 200, "{failure:?}");
    }
}

/// The reason that `/readyz` returns.
fn reason_not_ready(failure: Failure) -> Option<&'static str> {
    match failure {
        Failure::Unavailable => Some("not ready: the database is out of reach"),
        Failure::Overloaded => Some("not ready: too much is waiting for the database"),
        Failure::Internal | Failure::Referenced => Some("not ready: the database cannot be read"),
        Failure::Panic => None,
    }
}

#[tokio::test]
async fn panic_fails_only_its_own_request() {
    async fn panics() -> &'static str {
        panic!("{CAUSE}")
    }
    let routes = Router::new().route("/panic", get(panics)).route("/", get(async || "here"));
    let server = TestServer::start(with_middleware(routes, middleware_config()), Limits::default());
    let mut wire = server.connect();
    for _ in 0..3 {
        let response = wire.call("GET", "/panic", "", None).unwrap().expect(500);
        assert_eq!(response.json(), json!({"detail": "Internal Server Error"}));
        assert_eq!(wire.call("GET", "/", "", None).unwrap().text(), "here", "the same connection");
    }
    server.end();
}
