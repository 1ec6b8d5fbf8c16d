//! The service with only the grants of `docs/postgresql.md`: every route works, and the role has no
//! right of the owner of the tables.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use post_api::store::postgres::{Address, connect};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use crate::support::key_files::ED25519;
use crate::support::{
    Cluster, FORM, PASSWORD, Service, SmtpServer, SmtpTls, TestResponse, prepare_serving_role,
};

const ROUTES: &str = include_str!("../../../docs/routes.txt");

/// A service, and the routes that have succeeded.
struct Calls<'a> {
    service: &'a Service,
    called: BTreeSet<String>,
}

impl Calls<'_> {
    /// Calls the route, and records it as `docs/routes.txt` writes it, with `{id}` for an ID.
    fn call(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> TestResponse {
        let response = self.service.connect().call(method, path, token, body).unwrap();
        assert!(response.status.is_success(), "{method} {path}: {response:?}");
        let path = path.split('?').next().unwrap();
        let parts =
            path.split('/').map(|part| if part.parse::<u64>().is_ok() { "{id}" } else { part });
        self.record(method, &parts.collect::<Vec<_>>().join("/"));
        response
    }

    fn record(&mut self, method: &str, path: &str) {
        self.called.insert(format!("{method} {}", path.trim_end_matches('/')));
    }

    fn log_in(&mut self, form: &str, status: u16) -> Value {
        let response = self.service.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        ));
        self.record("POST", "/login");
        response.expect(status).json()
    }

    fn sign_up(&mut self, email: &str) -> (String, u64) {
        let account = json!({"email": email, "password": PASSWORD});
        let id = self.call("POST", "/users", "", Some(&account)).json()["id"].as_u64().unwrap();
        (self.token(email, PASSWORD), id)
    }

    fn token(&mut self, email: &str, password: &str) -> String {
        let password = password.replace(' ', "+");
        let login = self.log_in(&format!("username={email}&password={password}"), 200);
        login["access_token"].as_str().unwrap().to_owned()
    }
}

fn read_and_write_posts(calls: &mut Calls<'_>, ada: &str, bob: &str) {
    let post = json!({"title": "A quay", "content": "c"});
    let id = calls.call("POST", "/posts", ada, Some(&post)).json()["id"].as_u64().unwrap();
    for path in ["/posts", "/posts?search=quay", "/posts?published=false", &format!("/posts/{id}")]
    {
        calls.call("GET", path, bob, None);
    }
    for dir in [1, -1, 0, 1] {
        calls.call("POST", "/vote", bob, Some(&json!({"post_id": id, "dir": dir})));
    }
    let counted = calls.call("GET", &format!("/posts/{id}"), ada, None).json();
    assert_eq!(counted["votes"], 1);
    calls.call("PUT", &format!("/posts/{id}"), ada, Some(&post));
    calls.call("PATCH", &format!("/posts/{id}"), ada, Some(&json!({"title": "A pier"})));
    calls.call("DELETE", &format!("/posts/{id}"), ada, None);
    write_with_keys(calls.service, ada);
}

/// Sends each write with a key, and repeats it.
fn write_with_keys(service: &Service, ada: &str) {
    let mut wire = service.connect();
    let mut send = |method: &str, path: &str, body: Option<&Value>| {
        let key = format!("idempotency-key: {method}{path}\r\n");
        let responses = [(); 2]
            .map(|()| wire.call_with(method, path, ada, &key, body).unwrap())
            .map(|response| (response.status, response.body));
        let [(status, body), again] = responses;
        assert!(status.is_success(), "{method} {path}: {status}");
        assert_eq!(again, (status, body.clone()), "{method} {path}");
        body
    };
    let account = json!({"email": "keyed@example.com", "password": PASSWORD});
    send("POST", "/users", Some(&account));
    let post = json!({"title": "A key", "content": "c"});
    let created: Value = serde_json::from_slice(&send("POST", "/posts", Some(&post))).unwrap();
    let path = format!("/posts/{}", created["id"]);
    send("PUT", &path, Some(&post));
    send("POST", "/vote", Some(&json!({"post_id": created["id"], "dir": 1})));
    send("DELETE", &path, None);
}

fn start_session(calls: &mut Calls<'_>, ada: &str) {
    let password = PASSWORD.replace(' ', "+");
    let form = format!("username=ada@example.com&password={password}&scope=offline_access");
    for _ in 0..2 {
        let login = calls.log_in(&form, 200);
        let refresh = login["refresh_token"].as_str().unwrap();
        calls.log_in(&format!("grant_type=refresh_token&refresh_token={refresh}"), 200);
    }
    let sessions = calls.call("GET", "/users/me/sessions", ada, None).json();
    let first = sessions[0]["id"].as_u64().unwrap();
    calls.call("DELETE", &format!("/users/me/sessions/{first}"), ada, None);
    calls.call("DELETE", "/users/me/sessions", ada, None);
}

/// Changes password and e-mail, logs out and deletes the account.
fn change_and_delete_account(calls: &mut Calls<'_>, ada: &str) {
    let other = "94 moss anchors";
    let change = json!({"current_password": PASSWORD, "new_password": other});
    let changed = calls.call("POST", "/users/me/password", ada, Some(&change)).json();
    let token = changed["access_token"].as_str().unwrap();
    calls.call("PATCH", "/users/me", token, Some(&json!({"name": "Ada"})));
    let change = json!({"current_password": other, "email": "eve@example.com"});
    calls.call("PATCH", "/users/me", token, Some(&change));
    let token = calls.token("eve@example.com", other);
    calls.call("POST", "/logout", &token, None);
    let token = calls.token("eve@example.com", other);
    calls.call("DELETE", "/users/me", &token, None);
}

fn use_links_of_mails(calls: &mut Calls<'_>, mail_server: &SmtpServer) {
    let email = "cid@example.com";
    let (cid, _) = calls.sign_up(email);
    calls.call("POST", "/users/me/email/verifications", &cid, None);
    let next_mail = || loop {
        let mail = mail_server.next_mail().mail;
        if mail.to == email {
            return mail;
        }
    };
    next_mail();
    let token = next_mail().token("verify");
    calls.call("POST", "/email-verifications", "", Some(&json!({"token": token})));
    calls.call("POST", "/password-resets", "", Some(&json!({"email": email})));
    let token = next_mail().token("reset");
    let reset = json!({"token": token, "new_password": "94 moss anchors"});
    calls.call("POST", "/password-resets/confirm", "", Some(&reset));
}

/// Runs every command on accounts and posts with the rights of the serving role.
fn run_operator_commands(service: &Service, url: &str, ada: &str) {
    let post = json!({"title": "Spam", "content": "c"});
    let spam = service.connect().call("POST", "/posts", ada, Some(&post)).unwrap();
    let delete_post = format!("post delete {}", spam.json()["id"]);
    for (line, input) in [
        ("user list", ""),
        ("user revoke-admin ada@example.com", ""),
        ("post list", ""),
        ("post list --owner ada@example.com", ""),
        (delete_post.as_str(), ""),
        ("user add eva@example.com --password-stdin", PASSWORD),
        ("user set-password eva@example.com --password-stdin", PASSWORD),
        ("user disable eva@example.com", ""),
        ("user enable eva@example.com", ""),
        ("user delete eva@example.com --yes", ""),
        ("user sign-out bob@example.com", ""),
        ("user sign-out --all", ""),
    ] {
        run_command(service, url, line, input);
    }
}

fn run_command(service: &Service, url: &str, line: &str, input: &str) {
    let mut command = Service::command(service.path());
    command.args(line.split(' ')).args(["--database-url", url]).stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !error.contains("WARN"), "{line}: {error}");
}

/// Returns the paths that need neither an ID nor a body.
fn plain_reads() -> impl Iterator<Item = &'static str> {
    let words = ROUTES.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words[1] == "GET" && !words[0].contains('{')).map(|words| words[0])
}

#[test]
fn every_route_works_with_only_the_documented_grants() {
    let cluster = Cluster::shared();
    let database = cluster.empty_database();
    let url = prepare_serving_role(cluster, &database);
    let mail_server = SmtpServer::start(SmtpTls::None, "250 ok");
    let mut service = Service::start(&[
        ("DATABASE_URL", &url),
        ("ALGORITHM", "EdDSA"),
        ("SIGNING_KEYS", ED25519),
        ("RATE_LIMITS", "on"),
        ("SMTP_URL", &format!("smtp://127.0.0.1:{}?tls=none", mail_server.port())),
        ("MAIL_FROM", "no-reply@example.net"),
        ("PUBLIC_URL", "https://posts.example.net"),
    ]);
    let mut calls = Calls { service: &service, called: BTreeSet::new() };
    calls.log_in("username=ada@example.com&password=wrong", 403);
    let (ada, _) = calls.sign_up("ada@example.com");
    let (bob, number) = calls.sign_up("bob@example.com");
    calls.log_in("username=ada@example.com&password=wrong", 403);
    calls.call("GET", &format!("/users/{number}"), &ada, None);
    read_and_write_posts(&mut calls, &ada, &bob);
    use_links_of_mails(&mut calls, &mail_server);
    start_session(&mut calls, &ada);
    run_command(&service, &url, "user grant-admin ada@example.com", "");
    for path in plain_reads() {
        calls.call("GET", path, &ada, None);
    }
    calls.call("POST", "/posts/changes/tickets", &ada, None);
    let mut stream = service.connect();
    stream.call("GET", "/posts/changes", &ada, None).unwrap().expect(200);
    stream.read_until("event: hello");
    run_operator_commands(&service, &url, &ada);
    let bob = calls.token("bob@example.com", PASSWORD);
    calls.call("DELETE", &format!("/users/{number}"), &bob, None);
    let ada = calls.token("ada@example.com", PASSWORD);
    change_and_delete_account(&mut calls, &ada);

    let words = ROUTES.lines().map(|line| line.split_whitespace());
    let routes: BTreeSet<String> = words
        .map(|mut words| (words.next().unwrap(), words.next().unwrap()))
        .map(|(path, method)| format!("{method} {}", path.trim_end_matches('/')))
        .collect();
    assert_eq!(calls.called, routes);
    service.terminate();
    assert!(service.wait().success());
    let output = service.final_stderr();
    // The service stores events after the response, so only its log shows a failure.
    assert!(!output.contains(" WARN ") && !output.contains(" ERROR "), "{output}");
}

#[tokio::test]
async fn serving_role_is_denied_the_rights_of_the_owner() {
    let cluster = Cluster::shared();
    let database = cluster.empty_database();
    let url = prepare_serving_role(cluster, &database);
    let client = connect(&Address::parse(&url).unwrap()).await.unwrap();
    for statement in [
        "CREATE TABLE public.another ()",
        "CREATE SCHEMA another",
        "ALTER TABLE users ADD COLUMN another text",
        "DROP TABLE votes",
        "TRUNCATE votes",
        "ALTER TABLE votes DISABLE TRIGGER USER",
        "UPDATE vote_counts SET votes = 1",
        "DELETE FROM schema_migrations",
        "UPDATE events SET kind = 'logged_in'",
        "SELECT setval('users_id_seq', 1)",
    ] {
        let refused = client.batch_execute(statement).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}
