//! Clients send every kind of request that a token allows, and refresh a session, without a pause.
//! They use two replicas of the service (on SQLite two services over one store). Meanwhile the
//! tokens of the account are revoked, in every possible way. Every request sent after the
//! acknowledgement must be rejected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use post_api::domain::user::UserId;
use serde_json::{Value, json};

use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Engine, PASSWORD, Setup, TestApp, TestCaller, TestResponse};

/// Clients that send the token.
const CLIENTS: u64 = 8;

/// Requests of each client before the revocation, and after it.
const REQUESTS_BEFORE: u64 = 5;
const REQUESTS_AFTER: u64 = 10;

/// How the tokens of an account are revoked.
#[derive(Debug, Clone, Copy)]
enum RevocationMethod {
    Logout,
    Password,
    Email,
    Operator,
    Deletion,
}

const METHODS: [RevocationMethod; 5] = [
    RevocationMethod::Logout,
    RevocationMethod::Password,
    RevocationMethod::Email,
    RevocationMethod::Operator,
    RevocationMethod::Deletion,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_token_is_never_accepted_on_sqlite() {
    run(Engine::Sqlite, Budget::new("revocation, embedded", 5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_token_is_never_accepted_on_postgresql() {
    run(Engine::Postgres, Budget::new("revocation, PostgreSQL, two replicas", 5)).await;
}

async fn run(engine: Engine, mut budget: Budget) {
    let app = Arc::new(TestApp::set_up(Setup { engine, ..Setup::default() }).await);
    let replica = Arc::new(app.replica());
    let (mut accepted, mut rejected) = (0, 0);
    let author = app.signed_in("author").await;
    let post = author.write_post("post").await;
    while let Some(seed) = budget.next_round() {
        let round = budget.rounds();
        let method = METHODS[usize::try_from(round).unwrap() % METHODS.len()];
        let name = format!("user{round}");
        let caller = app.signed_in(&name).await;
        let session = app.start_session(&format!("{name}@example.com")).await;
        let shared = Arc::new(Shared {
            refresh_token: session["refresh_token"].as_str().unwrap().to_owned(),
            token: caller.token.clone().unwrap(),
            id: caller.id,
            post,
            is_revoked: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        });
        let clients = (0..CLIENTS).map(|number| {
            let app = Arc::clone(if number % 2 == 0 { &app } else { &replica });
            tokio::spawn(run_client(app, Arc::clone(&shared), Rng::new(seed.wrapping_add(number))))
        });
        let clients: Vec<_> = clients.collect();
        while shared.sent.load(Ordering::SeqCst) < CLIENTS * REQUESTS_BEFORE {
            tokio::task::yield_now().await;
        }
        revoke(&app, &caller, &name, method).await;
        shared.is_revoked.store(true, Ordering::SeqCst);
        for client in clients {
            let report = client.await.unwrap();
            assert!(
                report.wrong.is_empty(),
                "{method:?}, {}: {:?}",
                budget.name_round(),
                report.wrong
            );
            accepted += report.accepted;
            rejected += report.rejected;
        }
    }
    assert!(accepted > 0, "no request was accepted before the revocation");
    budget.report("revocations", budget.rounds());
    budget.report("requests before, accepted", accepted);
    budget.report("requests after, each rejected", rejected);
}

async fn revoke(app: &TestApp, caller: &TestCaller<'_>, name: &str, method: RevocationMethod) {
    match method {
        RevocationMethod::Logout => {
            caller.post("/logout", &json!({})).await.expect(204);
        }
        RevocationMethod::Password => {
            caller.change_password(PASSWORD, "94 moss anchors").await.expect(200);
        }
        RevocationMethod::Email => {
            caller.change_email(&format!("other-{name}@example.com")).await.expect(200);
        }
        RevocationMethod::Deletion => {
            caller.delete("/users/me").await.expect(204);
        }
        RevocationMethod::Operator => {
            let email = app.store.find_user(UserId(caller.id)).await.unwrap().unwrap().email;
            assert!(app.sign_out(&email.into()).await);
        }
    }
}

struct Shared {
    token: String,
    /// The token of a session, which can be retried until the session is revoked.
    refresh_token: String,
    id: i64,
    /// A post of another user.
    post: i64,
    is_revoked: AtomicBool,
    /// Requests that were sent.
    sent: AtomicU64,
}

#[derive(Default)]
struct ClientReport {
    accepted: u64,
    rejected: u64,
    wrong: Vec<(String, TestResponse)>,
}

async fn run_client(app: Arc<TestApp>, shared: Arc<Shared>, mut rng: Rng) -> ClientReport {
    let caller = app.with_token(&shared.token);
    let mut report = ClientReport::default();
    let mut after = 0;
    while after < REQUESTS_AFTER {
        let is_after = shared.is_revoked.load(Ordering::SeqCst);
        after += u64::from(is_after);
        shared.sent.fetch_add(1, Ordering::SeqCst);
        let (method, path, body) = request(&mut rng, &shared);
        let response = if path == "/login" {
            app.refresh(&shared.refresh_token).await
        } else {
            let body = body.map(|body| body.to_string()).unwrap_or_default();
            caller.send_raw(method, &path, "application/json", body).await
        };
        // A route without authentication shows no more to a revoked token than without a token.
        let is_open = path.starts_with("/users/") && !path.contains("me");
        let is_rejected = match (is_open, response.status.as_u16()) {
            (_, 400) => path == "/login",
            (true, 404) => true,
            (true, 200) => response.json()["email"] == Value::Null,
            (_, status) => status == 401,
        };
        if is_after && !is_rejected || response.status.is_server_error() {
            report.wrong.push((format!("{method} {path}"), response));
        } else if is_after {
            report.rejected += 1;
        } else {
            report.accepted += u64::from(!is_rejected);
        }
    }
    report
}

/// Returns a random request that does not itself revoke the tokens; `/login` refreshes the session.
fn request(rng: &mut Rng, shared: &Shared) -> (&'static str, String, Option<Value>) {
    let post = format!("/posts/{}", shared.post);
    let content = json!({"title": "title", "content": "text"});
    match rng.below(17) {
        0 => ("GET", "/users/me".to_owned(), None),
        1 => ("GET", format!("/users/{}", shared.id), None),
        2 => ("GET", "/posts?limit=3".to_owned(), None),
        3 => ("GET", "/posts?search=pos".to_owned(), None),
        4 => ("GET", "/posts?published=false".to_owned(), None),
        5 => ("GET", post, None),
        6 => ("PUT", post, Some(content)),
        7 => ("DELETE", post, None),
        8 => ("POST", "/posts".to_owned(), Some(content)),
        // A valid token is rejected too, for its wrong password.
        9 => {
            let change = json!({"current_password": "wrong", "new_password": "94 moss anchors"});
            ("POST", "/users/me/password".to_owned(), Some(change))
        }
        13 => ("POST", "/login".to_owned(), None),
        14 => ("GET", "/users/me/sessions".to_owned(), None),
        15 => ("DELETE", "/users/me/sessions/4711".to_owned(), None),
        16 => ("PATCH", post, Some(json!({"title": "another title"}))),
        10 => ("DELETE", format!("/users/{}", shared.id + 1_000_000), None),
        number => {
            let dir = 12 - number;
            ("POST", "/vote".to_owned(), Some(json!({"post_id": shared.post, "dir": dir})))
        }
    }
}
