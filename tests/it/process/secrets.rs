//! Passwords, tokens and keys never appear in the log, nor in any response except the one that
//! issues the token.

use serde_json::json;

use crate::support::{Service, TestResponse, Wire};

const KEY: &str = "canary-key-6d1f0b9ec3a7482597d0e41c";
const PASSWORD: &str = "canary-password quartz";
const WRONG: &str = "canary-wrong-password quartz";
const DATABASE: &str = "canary-database.db";

fn log_in(wire: &mut Wire, password: &str) -> TestResponse {
    let password = password.replace(' ', "+");
    let scope = "scope=offline_access";
    send_form(wire, &format!("username=ada%40example.com&password={password}&{scope}"))
}

fn refresh(wire: &mut Wire, token: &str) -> TestResponse {
    send_form(wire, &format!("grant_type=refresh_token&refresh_token={token}"))
}

fn refresh_token(response: &TestResponse) -> String {
    response.json()["refresh_token"].as_str().unwrap().to_owned()
}

fn send_form(wire: &mut Wire, form: &str) -> TestResponse {
    wire.exchange(format!(
        "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    ))
}

/// Sends invalid requests of many kinds that could make a service echo a secret.
fn provoke(service: &Service, token: &str, refresh: &str) -> Vec<TestResponse> {
    let forged = format!("{}x", token.rsplit_once('.').unwrap().0);
    let account = |password: &str| json!({"email": "ada@example.com", "password": password});
    let with_number = json!({"email": "no address", "password": [PASSWORD]});
    let calls = [
        ("POST", "/users", "", Some(account(PASSWORD))),
        ("POST", "/users", "", Some(account(&"canary-password quartz".repeat(300)))),
        ("POST", "/users", "", Some(json!({"password": PASSWORD}))),
        ("POST", "/users", "", Some(with_number)),
        ("POST", "/users", "", Some(json!(account(PASSWORD).to_string()))),
        ("GET", "/users/me", token, None),
        ("GET", "/users/me", &forged, None),
        ("GET", "/users/x", token, None),
        ("GET", "/posts?limit=x", token, None),
        ("POST", "/vote", token, Some(json!({"post_id": 1, "dir": 1}))),
        ("PUT", "/nowhere", token, Some(account(PASSWORD))),
        ("GET", "/users/me", refresh, None),
        ("GET", &format!("/posts?limit=x&refresh_token={refresh}"), token, None),
        ("POST", "/posts", token, Some(json!({ "refresh_token": refresh }))),
        ("POST", "/users", "", Some(json!({"user": {"refreshToken": [refresh]}}))),
        ("POST", "/login", "", Some(json!({ "refresh_token": refresh }))),
    ];
    let call = |(method, path, token, body): (&str, &str, &str, Option<serde_json::Value>)| {
        service.connect().call(method, path, token, body.as_ref()).unwrap()
    };
    let mut responses: Vec<TestResponse> = calls.into_iter().map(call).collect();
    let broken = format!(r#"{{"email": "ada@example.com", "password": "{PASSWORD}" oops"#);
    let raw = [
        format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{broken}",
            broken.len()
        ),
        format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n\r\n"),
        format!("authorization: Basic {token}\r\ncontent-length: x\r\n\r\n"),
        format!("authorization : {token}\r\n\r\n{PASSWORD}"),
    ];
    for rest in raw {
        responses
            .push(service.connect().exchange(format!("POST /users HTTP/1.1\r\nhost: a\r\n{rest}")));
    }
    responses
}

/// Sends a request over HTTP/2, because that library has its own log events.
fn ask_over_http_2(service: &Service, token: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(service.address()).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = axum::http::Request::post(format!("{}/users", service.url))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        let account = json!({"email": "ada@example.com", "password": PASSWORD});
        body.send_data(account.to_string().into(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 409);
    });
}

#[test]
fn secrets_never_appear_in_logs_or_responses() {
    let url = format!("sqlite:{DATABASE}");
    let mut service = Service::start(&[
        ("SECRET_KEY", KEY),
        ("DATABASE_URL", &url),
        ("LOG_LEVEL", "trace"),
        ("ACCESS_LOG", "on"),
    ]);
    let mut wire = service.connect();
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    let created = wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let login = log_in(&mut wire, PASSWORD).expect(200);
    let token = login.json()["access_token"].as_str().unwrap().to_owned();
    let refused = log_in(&mut wire, WRONG).expect(403);
    let mut refresh_tokens = vec![refresh_token(&login)];
    for _ in 0..2 {
        let next = refresh(&mut wire, &refresh_tokens[refresh_tokens.len() - 1]).expect(200);
        refresh_tokens.push(refresh_token(&next));
    }
    let mut responses = provoke(&service, &token, &refresh_tokens[2]);
    // The token and its successor are rotated, so this reuse revokes the session.
    responses.push(refresh(&mut wire, &refresh_tokens[0]).expect(400));
    responses.push(refresh(&mut wire, &refresh_tokens[2]).expect(400));
    responses.extend([created, refused, service.get("/readyz"), service.get("/openapi.json")]);
    ask_over_http_2(&service, &token);
    service.terminate();
    assert!(service.wait().success());

    let signature = token.rsplit_once('.').unwrap().1;
    let mut hidden = vec!["canary-password", "canary-wrong", "canary+", "canary-key", signature];
    hidden.extend(refresh_tokens.iter().map(String::as_str));
    for response in responses {
        let output = format!("{response:?} {}", String::from_utf8_lossy(&response.body));
        for secret in hidden.iter().copied().chain(["canary-database", "$argon2"]) {
            assert!(!output.contains(secret), "{secret} is in {output}");
        }
    }
    let output = service.final_stderr();
    assert!(
        output.contains("token rejected") && output.contains("/users"),
        "the log is not at its most detailed level"
    );
    for secret in hidden.into_iter().chain(["$argon2"]) {
        assert!(!output.contains(secret), "{secret} is in {output}");
    }
    // Only the banner shows the path of the data.
    assert_eq!(output.matches("canary-database").count(), 1, "{output}");
}
