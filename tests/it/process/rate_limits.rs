//! Rate limits for the operator: on by default, and one log line for each rejected request.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{FORM, PASSWORD, Service, TestResponse};

const WRONG: &str = "a+wrong+password";

/// Sends the login form of an account.
fn log_in(service: &Service, password: &str, headers: &str) -> TestResponse {
    let form = format!("username=ada@example.com&password={password}");
    service.connect().exchange(format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM}\r\n{headers}\
         content-length: {}\r\n\r\n{form}",
        form.len()
    ))
}

fn events(service: &mut Service) -> (String, Vec<Value>) {
    service.terminate();
    assert!(service.wait().success());
    let output = service.final_stderr();
    let events = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, events)
}

#[test]
fn rate_limited_request_is_logged_once_without_secrets() {
    let mut service = Service::start(&[
        ("RATE_LIMITS", "on"),
        ("RATE_LIMIT_LOGIN_IP", "1/1h"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("LOG_FORMAT", "json"),
        ("ACCESS_LOG", "on"),
    ]);
    let headers = "x-forwarded-for: 203.0.113.7\r\nx-request-id: the-second-one\r\n";
    log_in(&service, WRONG, headers).expect(403);
    log_in(&service, WRONG, headers).expect(429);
    log_in(&service, WRONG, "x-forwarded-for: 203.0.113.8\r\n").expect(403);
    let (output, events) = events(&mut service);
    let refusals: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "rate_limited").collect();
    assert_eq!(refusals.len(), 1, "{output}");
    let refusal = refusals[0];
    assert_eq!(refusal["level"], "WARN");
    assert_eq!(refusal["limit"], "login-address");
    assert_eq!(refusal["client"], "203.0.113.7");
    assert_eq!(refusal["request"], "the-second-one");
    for secret in ["ada@", "wrong"] {
        assert!(!output.contains(secret), "{output}");
    }
    let lines = events.iter().filter(|event| event["target"] == "access");
    let clients: Vec<&str> = lines.map(|event| event["client"].as_str().unwrap()).collect();
    assert_eq!(clients, ["203.0.113.7", "203.0.113.7", "203.0.113.8"]);
}

/// A reverse proxy on the same machine, with and without the setting that names it.
#[test]
fn local_proxy_that_is_not_trusted_is_warned_about_once() {
    for (trusted, expected) in [("", 1), ("10.0.0.1", 1), ("127.0.0.1", 0)] {
        let mut service = Service::start(&[("TRUSTED_PROXIES", trusted), ("LOG_FORMAT", "json")]);
        log_in(&service, WRONG, "");
        for client in ["203.0.113.7", "203.0.113.8"] {
            log_in(&service, WRONG, &format!("x-forwarded-for: {client}\r\n"));
            log_in(&service, WRONG, &format!("forwarded: for={client}\r\n"));
        }
        let (output, events) = events(&mut service);
        let is_warning = |event: &&Value| event["name"] == "TRUSTED_PROXIES";
        let warnings: Vec<&Value> = events.iter().filter(is_warning).collect();
        assert_eq!(warnings.len(), expected, "{trusted:?}: {output}");
        for warning in warnings {
            assert_eq!(
                (&warning["level"], &warning["peer"]),
                (&json!("WARN"), &json!("127.0.0.1"))
            );
            assert!(!warning.to_string().contains("203.0.113"), "{warning}");
        }
    }
}

/// The service runs with its default limits.
#[test]
fn default_limits_do_not_affect_ordinary_use() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = Service::command(folder.path());
    command.env_remove("RATE_LIMITS").args(["serve", "--port", "0"]);
    let service = Service::run(&mut command, folder.path());
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let password = PASSWORD.replace(' ', "+");
    let mut token = String::new();
    for _ in 0..50 {
        let response = log_in(&service, &password, "").expect(200);
        token = response.json()["access_token"].as_str().unwrap().to_owned();
    }
    let post = json!({"title": "title", "content": "text"});
    for _ in 0..200 {
        service.connect().call("POST", "/posts", &token, Some(&post)).unwrap().expect(201);
    }
    let start = Instant::now();
    let mut verified = 0;
    // Without a trusted proxy the service ignores this field.
    let guess = || log_in(&service, WRONG, "x-forwarded-for: 203.0.113.7\r\n").status;
    while guess() == 403 {
        verified += 1;
        // The default allows 20, and one more every 15 seconds.
        assert!(verified <= 20 + start.elapsed().as_secs() / 15, "{verified}");
    }
    assert!(verified >= 20, "{verified}");
}
