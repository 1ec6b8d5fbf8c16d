//! Compares the statuses that operations return with those in the document, in both directions, and
//! the errors with the examples in the document.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use post_api::domain::policy::Policy;
use serde_json::{Value, json};

use super::operations::Operation;
use crate::support::{PASSWORD, SentMail, Setup, TestApp, TestCaller, TestResponse, key_files};

/// Statuses that these requests cannot cause: a slow body, a rate limit (see `rate_limits`), an
/// internal error, an outage.
const UNREACHABLE: [u16; 4] = [408, 429, 500, 503];

/// Returns bodies that are invalid for most operations, with their media types.
fn invalid_bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("application/json", Vec::new()),
        ("application/json", b"null".to_vec()),
        ("application/json", b"[]".to_vec()),
        ("application/json", b"{".to_vec()),
        ("application/json", br#"{"post_id":4711,"dir":1}"#.to_vec()),
        ("application/json", br#"{"post_id":1,"dir":0}"#.to_vec()),
        ("application/json", confirmed("wrong")),
        ("application/json", vec![b'"', 0xff, b'"']),
        ("application/json", "[".repeat(1000).into_bytes()),
        ("application/json", vec![b' '; 2 * 1024 * 1024 + 1]),
        ("text/plain", b"text".to_vec()),
        ("multipart/form-data; boundary=b", b"text".to_vec()),
        ("multipart/form-data; boundary=b", vec![b' '; 2 * 1024 * 1024 + 1]),
        ("application/x-www-form-urlencoded", b"username=a&password=b".to_vec()),
        ("application/x-www-form-urlencoded", b"grant_type=refresh_token&refresh_token=x".to_vec()),
        ("application/x-www-form-urlencoded", vec![b'a'; 2 * 1024 * 1024 + 1]),
        // Last, because this body may revoke the caller's token.
        ("application/json", confirmed(PASSWORD)),
    ]
}

/// Returns a change of the caller's account to the e-mail of another one.
fn confirmed(password: &str) -> Vec<u8> {
    let change = json!({"email": "author@example.com", "current_password": password,
        "new_password": "94 moss anchors"});
    change.to_string().into_bytes()
}

/// The statuses of responses, each with the errors that came with it.
type Seen = BTreeSet<(u16, String)>;

/// Adds the status of the response, and its errors without their numbers.
fn record(seen: &mut Seen, response: &TestResponse) {
    let status = response.status.as_u16();
    seen.insert((status, String::new()));
    if !response.status.is_success() && !response.body.is_empty() {
        seen.extend(errors(&response.json()).into_iter().map(|error| (status, error)));
    }
}

/// Returns the errors of a body without their numbers: texts, or types with locations.
fn errors(body: &Value) -> Vec<String> {
    match &body["detail"] {
        Value::Array(errors) => {
            errors.iter().map(|error| format!("{} {}", error["type"], error["loc"])).collect()
        }
        detail => vec![detail.to_string().replace(|letter: char| letter.is_ascii_digit(), "")],
    }
}

/// Calls the operation as each kind of caller, on each kind of ID, with valid and invalid bodies.
async fn collect_statuses(app: &TestApp, operation: &Operation, number: usize) -> Seen {
    let other = app.signed_in(&format!("other{number}")).await;
    let caller = app.signed_in(&format!("caller{number}")).await;
    let is_user = operation.path.starts_with("/users");
    let of_other = if is_user { other.id } else { other.write_post("post").await };
    let own = if is_user { caller.id } else { caller.write_post("post").await };
    let own = if operation.path.contains("/sessions/") {
        app.start_session(&format!("caller{number}@example.com")).await;
        let sessions = caller.get("/users/me/sessions").await.expect(200).json();
        sessions[0]["id"].as_i64().unwrap()
    } else {
        own
    };
    let hidden = other.write_draft("draft").await;
    let missing_user = app.with_token(&app.token_for(4711));
    let callers: [&TestCaller<'_>; 4] =
        [&app.anonymous(), &app.with_token("x"), &missing_user, &caller];
    let numbers = [of_other, hidden, 4711].map(|id| id.to_string());
    let mut ids: Vec<String> =
        numbers.into_iter().chain(["x".to_owned(), "9".repeat(30)]).collect();
    if operation.name() == "DELETE /posts/{id}" {
        ids.push(referenced_post(app, &caller).await.to_string());
    }
    // Last, because this ID may delete the caller.
    ids.push(own.to_string());
    let mut seen = BTreeSet::new();
    for caller in callers {
        for id in &ids {
            // A read is current, and a change fails its precondition.
            if operation.method == "GET" || operation.path == "/posts/{id}" {
                record(&mut seen, &operation.call_if_none_match(caller, id).await);
            }
            let unknown = if operation.name() == "GET /users/me" { "&include=x" } else { "" };
            let path = format!("{}?limit=-1&votes=maybe{unknown}", operation.path_to(id));
            let response = caller.send_raw(&operation.method, &path, "", "").await;
            record(&mut seen, &response);
            if operation.path == "/posts/changes" {
                let request = caller.request("GET", &operation.path).header("accept", "text/html");
                record(&mut seen, &app.send(request.body(Body::empty()).unwrap()).await);
            }
            for (media_type, body) in invalid_bodies() {
                let path = operation.path_to(id);
                let response = caller.send_raw(&operation.method, &path, media_type, body).await;
                record(&mut seen, &response);
            }
            for _ in 0..2 {
                record(&mut seen, &operation.call(caller, id).await);
            }
        }
    }
    if operation.path.starts_with("/admin") {
        app.set_admin(caller.id, true).await;
        record(&mut seen, &operation.call(&caller, "").await);
        let path = format!("{}?limit=-1", operation.path);
        record(&mut seen, &caller.send_raw(&operation.method, &path, "", "").await);
    }
    if operation.method != "GET" && !is_user && operation.path != "/login" {
        record(&mut seen, &call_with_used_key(app, operation, &caller, &own.to_string()).await);
    }
    seen
}

/// Calls the operation with a key that the caller has used for another request.
async fn call_with_used_key(
    app: &TestApp,
    operation: &Operation,
    caller: &TestCaller<'_>,
    id: &str,
) -> TestResponse {
    let send = async |method: &str, path: &str, body: &str| {
        let request = caller.request(method, path).header("content-type", "application/json");
        let request = request.header("idempotency-key", "used");
        app.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    send("POST", "/posts", r#"{"title":"used","content":"c"}"#).await;
    let body = operation.example.as_ref().map(|(_, body)| body.as_str()).unwrap_or_default();
    send(&operation.method, &operation.path_to(id), body).await
}

/// Returns a post of the caller that a table of the operator refers to.
async fn referenced_post(app: &TestApp, caller: &TestCaller<'_>) -> i64 {
    let id = caller.write_post("referenced").await;
    app.execute("CREATE TABLE IF NOT EXISTS comments (post_id bigint REFERENCES posts (id))");
    app.execute(&format!("INSERT INTO comments VALUES ({id})"));
    id
}

/// Adds the statuses that each operation returns, with or without required passwords for deletions.
async fn collect_all_statuses(delete_requires_password: bool, seen: &mut BTreeMap<String, Seen>) {
    let app = TestApp::with(Policy { delete_requires_password, ..Policy::default() }).await;
    // The examples of the document use the first post.
    app.signed_in("author").await.write_post("1").await;
    let mut operations = Operation::all(&app).await;
    // Sign-up first, because the example of the login uses that account.
    operations.sort_by_key(|operation| operation.name() != "POST /users");
    // Only deletions depend on this setting.
    operations.retain(|operation| !delete_requires_password || operation.method == "DELETE");
    for (number, operation) in operations.into_iter().enumerate() {
        let mut statuses = collect_statuses(&app, &operation, number).await;
        if operation.path == "/.well-known/jwks.json" {
            // The key set exists only if a key pair signs the tokens.
            let setup = Setup { keys: key_files::ed25519, ..Setup::default() };
            statuses
                .extend(collect_statuses(&TestApp::set_up(setup).await, &operation, number).await);
        }
        if operation.statuses.contains(&404) && is_about_mail(&operation.path) {
            let app = TestApp::set_up(Setup { sends_mail: false, ..Setup::default() }).await;
            record(&mut statuses, &operation.call(&app.anonymous(), "").await);
            record(&mut statuses, &call_with_link(&operation.path).await);
        }
        seen.entry(operation.name()).or_default().extend(statuses);
    }
}

fn is_about_mail(path: &str) -> bool {
    path.starts_with("/password-resets") || path.ends_with("verifications")
}

/// Calls the operation with the token of a genuine link.
async fn call_with_link(path: &str) -> TestResponse {
    let app = TestApp::start().await;
    app.sign_up("linked").await;
    app.anonymous().post("/password-resets", &json!({"email": "linked@example.com"})).await;
    let mails = app.sent_mails().await;
    let token = |view: &str| {
        let has_link = |mail: &&SentMail| mail.text.contains(&format!("/#{view}="));
        mails.iter().find(has_link).unwrap().token(view)
    };
    let body = match path {
        "/password-resets/confirm" => {
            json!({"token": token("reset"), "new_password": "94 moss anchors"})
        }
        "/email-verifications" => json!({"token": token("verify")}),
        _ => json!({"email": "linked@example.com"}),
    };
    app.anonymous().post(path, &body).await
}

#[tokio::test]
async fn returned_and_documented_statuses_agree() {
    let mut all_seen = BTreeMap::new();
    for delete_requires_password in [false, true] {
        collect_all_statuses(delete_requires_password, &mut all_seen).await;
    }
    let mut undocumented = BTreeMap::new();
    let mut unseen = BTreeMap::new();
    for operation in Operation::all(&TestApp::start().await).await {
        let seen: BTreeSet<u16> =
            all_seen[&operation.name()].iter().map(|(status, _)| *status).collect();
        let extra: BTreeSet<u16> = seen.difference(&operation.statuses).copied().collect();
        let reachable = operation.statuses.iter().filter(|status| !UNREACHABLE.contains(status));
        let missing: BTreeSet<u16> =
            reachable.filter(|status| !seen.contains(status)).copied().collect();
        if !extra.is_empty() {
            undocumented.insert(operation.name(), extra);
        }
        if !missing.is_empty() {
            unseen.insert(operation.name(), missing);
        }
    }
    assert_examples_were_seen(&all_seen).await;
    assert!(undocumented.is_empty(), "not in the document: {undocumented:?}");
    assert!(unseen.is_empty(), "in the document, but never returned: {unseen:?}");
}

/// Every error has examples, and the service returns each of them.
async fn assert_examples_were_seen(seen: &BTreeMap<String, Seen>) {
    let document = TestApp::start().await.anonymous().get("/openapi.json").await.json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{} {path}", method.to_uppercase());
            for (status, response) in operation["responses"].as_object().unwrap() {
                let media = &response["content"]["application/json"];
                let status: u16 = status.parse().unwrap();
                if status < 400 {
                    continue;
                }
                let named = media["examples"].as_object().into_iter().flat_map(|map| map.values());
                let examples = named.map(|example| &example["value"]).chain(media.get("example"));
                let expected: Vec<String> = examples.flat_map(errors).collect();
                assert!(!expected.is_empty(), "{name} has no example of {status}");
                for error in expected {
                    let is_seen = seen[&name].contains(&(status, error.clone()));
                    let is_unreachable = UNREACHABLE.contains(&status);
                    assert!(is_seen || is_unreachable, "{name} never returns {status} {error}");
                }
            }
        }
    }
}
