//! Account actions in the operator's log: user, event, outcome and client IP, without secrets.
//!
//! Not here: the events that users can read, see `api/users/me/events.rs`.

use serde_json::{Value, json};

use crate::support::{FORM, PASSWORD, Service, TestResponse};

const WRONG: &str = "a-wrong-password";
const NEW: &str = "94 moss anchors";

/// The client IP, as the trusted proxy reports it.
const CLIENT: &str = "203.0.113.7";

/// Sends a request of the client with this request ID.
fn send(
    service: &Service,
    id: &str,
    line: &str,
    token: &str,
    media: &str,
    body: &str,
) -> TestResponse {
    service.connect().exchange(format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         x-forwarded-for: {CLIENT}\r\nx-request-id: {id}\r\ncontent-type: {media}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn form(service: &Service, id: &str, fields: &[(&str, &str)]) -> TestResponse {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    send(service, id, "POST /login", "", FORM, &form)
}

fn log_in(service: &Service, id: &str, email: &str, password: &str) -> TestResponse {
    form(service, id, &[("username", email), ("password", password), ("scope", "offline_access")])
}

fn call(service: &Service, id: &str, line: &str, token: &str, body: &Value) -> TestResponse {
    send(service, id, line, token, "application/json", &body.to_string())
}

fn field(response: &TestResponse, name: &str) -> String {
    response.json()[name].as_str().unwrap().to_owned()
}

/// Sends one request for each kind of event. The request ID is the name of the event. Returns the
/// tokens that the requests used.
fn perform_actions(service: &Service) -> Vec<String> {
    let ada = json!({"email": "ada@example.com", "password": PASSWORD});
    let bob = json!({"email": "bob@example.com", "password": PASSWORD});
    call(service, "signed_up", "POST /users", "", &ada).expect(201);
    call(service, "of-bob", "POST /users", "", &bob).expect(201);
    let of_bob = field(&log_in(service, "of-bob", "bob@example.com", PASSWORD), "access_token");
    let post = json!({"title": "a title", "content": "text"});
    call(service, "of-bob", "POST /posts", &of_bob, &post).expect(201);

    let login = log_in(service, "logged_in", "ada@example.com", PASSWORD).expect(200);
    let (token, first) = (field(&login, "access_token"), field(&login, "refresh_token"));
    log_in(service, "login_refused", "ada@example.com", WRONG).expect(403);
    log_in(service, "of-an-unknown-account", "absent@example.com", WRONG).expect(403);
    let change = |current: &str| json!({"current_password": current, "new_password": NEW});
    let path = "POST /users/me/password";
    call(service, "password_refused", path, &token, &change(WRONG)).expect(403);
    call(service, "ownership_refused", "DELETE /posts/1", &token, &json!({})).expect(403);
    let mut tokens = vec![of_bob, token.clone(), first];
    for _ in 0..2 {
        let last = tokens.last().unwrap();
        let fields = [("grant_type", "refresh_token"), ("refresh_token", last)];
        let next = field(&form(service, "session_continued", &fields).expect(200), "refresh_token");
        tokens.push(next);
    }
    let rotated = [("grant_type", "refresh_token"), ("refresh_token", tokens[2].as_str())];
    form(service, "refresh_token_reused", &rotated).expect(400);
    let unknown = [("grant_type", "refresh_token"), ("refresh_token", "of-no-session")];
    form(service, "refresh_refused", &unknown).expect(400);
    let changed = call(service, "password_changed", path, &token, &change(PASSWORD)).expect(200);
    let token = field(&changed, "access_token");
    call(service, "signed_out", "POST /logout", &token, &json!({})).expect(204);
    tokens.push(token);
    tokens
}

#[test]
fn account_actions_are_logged_without_secrets() {
    let mut service = Service::start(&[
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("LOG_FORMAT", "json"),
        ("ACCESS_LOG", "on"),
    ]);
    let tokens = perform_actions(&service);
    service.terminate();
    assert!(service.wait().success());
    let output = service.final_stderr();
    let lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_request = |id: &str| -> Vec<&Value> {
        let belongs = |line: &&Value| line["target"] == "audit" && id_of(line) == id;
        lines.iter().filter(belongs).collect()
    };
    for event in [
        "signed_up",
        "logged_in",
        "login_refused",
        "password_refused",
        "ownership_refused",
        "refresh_token_reused",
        "password_changed",
        "signed_out",
    ] {
        let [line] = of_request(event)[..] else {
            panic!("expected one line for {event}: {output}")
        };
        let is_refusal = event.ends_with("refused") || event.ends_with("reused");
        assert_eq!(line["event"], event, "{line}");
        assert_eq!(line["outcome"], if is_refusal { "refused" } else { "done" }, "{line}");
        assert_eq!(line["user"], 1, "{line}");
        assert_eq!(line["client"], CLIENT, "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
    }
    let refreshes = of_request("session_continued");
    assert_eq!(refreshes.len(), 2, "{output}");
    for line in refreshes {
        assert_eq!((&line["event"], &line["user"]), (&json!("session_continued"), &json!(1)));
    }
    // For an unknown e-mail or token the log has no user and does not echo the input.
    for (id, event) in
        [("of-an-unknown-account", "login_refused"), ("refresh_refused", "refresh_refused")]
    {
        let [line] = of_request(id)[..] else { panic!("expected one line for {id}: {output}") };
        assert_eq!((&line["event"], &line["user"]), (&json!(event), &Value::Null), "{line}");
        assert_eq!((&line["outcome"], &line["client"]), (&json!("refused"), &json!(CLIENT)));
    }

    let signatures = tokens.iter().map(|token| token.rsplit('.').next().unwrap());
    for secret in signatures.chain([PASSWORD, WRONG, NEW, "@example.com", "of-no-session"]) {
        assert!(!output.contains(secret), "{secret} is in {output}");
    }
}

/// Returns the request ID of the line.
fn id_of(line: &Value) -> &str {
    line["span"]["id"].as_str().unwrap_or_default()
}
