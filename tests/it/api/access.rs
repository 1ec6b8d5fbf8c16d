//! Every operation that needs a token, with every kind of invalid token.
//!
//! The operations come from the served document.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::operations::{Access, Operation};
use crate::support::{PASSWORD, TestApp, TestCaller, TestResponse, forge, forge_text};

const NOW: i64 = 1_738_324_800;

/// Returns all data that the readers can see, to detect any change.
async fn visible_data(readers: &[&TestCaller<'_>]) -> Vec<String> {
    let mut seen = Vec::new();
    for reader in readers {
        for path in ["/users/me", "/posts", "/posts?published=false"] {
            seen.push(reader.get(path).await.expect(200).text().to_owned());
        }
    }
    seen
}

#[track_caller]
fn assert_rejected(response: &TestResponse, detail: &str, context: &str) {
    assert_eq!(response.status, 401, "{context}");
    assert_eq!(response.text(), json!({"detail": detail}).to_string(), "{context}");
    assert_eq!(response.header("www-authenticate"), "Bearer", "{context}");
}

/// Sends each operation with a valid body, and with invalid input. The token check comes first.
pub(super) async fn assert_rejected_everywhere(
    app: &TestApp,
    caller: &TestCaller<'_>,
    id: i64,
    detail: &str,
) {
    let mut checked = 0;
    for operation in Operation::all(app).await {
        if operation.access != Access::TokenNeeded {
            continue;
        }
        checked += 1;
        let name = operation.name();
        let response = operation.call(caller, &id.to_string()).await;
        assert_rejected(&response, detail, &name);
        for (id, body) in [("x", "{"), ("4711", "[]"), ("1", "{}")] {
            let path = format!("{}?limit=x", operation.path_to(id));
            let media_type = "application/json";
            let response = caller.send_raw(&operation.method, &path, media_type, body).await;
            assert_rejected(&response, detail, &name);
        }
    }
    assert!(checked >= 12, "only {checked} operations need a token");
}

#[tokio::test]
async fn operation_without_token_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let before = visible_data(&[&ada]).await;
    assert_rejected_everywhere(&app, &app.anonymous(), post, "Not authenticated").await;
    assert_eq!(visible_data(&[&ada]).await, before);
}

#[tokio::test]
async fn operation_with_malformed_token_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let before = visible_data(&[&ada]).await;
    for token in ["", "x", "a.b.c"] {
        let caller = app.with_token(token);
        assert_rejected_everywhere(&app, &caller, post, "Could not validate credentials").await;
    }
    assert_eq!(visible_data(&[&ada]).await, before);
}

#[tokio::test]
async fn operation_with_token_of_another_key_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let before = visible_data(&[&ada]).await;
    let good = ada.token.clone().unwrap();
    let (message, _) = good.rsplit_once('.').unwrap();
    let caller = app.with_token(&format!("{message}.{}", URL_SAFE_NO_PAD.encode([7; 32])));
    assert_rejected_everywhere(&app, &caller, post, "Could not validate credentials").await;
    assert_eq!(visible_data(&[&ada]).await, before);
}

#[tokio::test]
async fn operation_with_expired_token_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let before = visible_data(&[&ada]).await;
    app.clock.advance(30 * 60);
    assert_rejected_everywhere(&app, &ada, post, "Could not validate credentials").await;
    let again = app.with_token(&app.token_for(ada.id));
    assert_eq!(visible_data(&[&again]).await, before);
}

#[tokio::test]
async fn operation_with_token_of_deleted_user_is_rejected() {
    let app = TestApp::start().await;
    let (ada, ghost) = (app.signed_in("ada").await, app.signed_in("ghost").await);
    let post = ada.write_post("post").await;
    ghost.write_post("gone").await;
    ghost.delete("/users/me").await.expect(204);
    let before = visible_data(&[&ada]).await;
    let detail = "Could not validate credentials";
    assert_rejected_everywhere(&app, &ghost, post, detail).await;
    assert_rejected_everywhere(&app, &ghost, ghost.id, detail).await;
    for path in [format!("/posts/{}", "9".repeat(30)), "/posts?limit=0".to_owned()] {
        assert_rejected(&ghost.get(&path).await, detail, &path);
    }
    let huge = json!({"post_id": 9e18, "dir": 1});
    assert_rejected(&ghost.post("/vote", &huge).await, detail, "vote on an impossible post");
    assert_eq!(visible_data(&[&ada]).await, before);
}

/// Each change revokes the token of an earlier login, a token of the reference service, and the
/// token that made the change.
#[tokio::test]
async fn operation_with_revoked_token_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let reference_token = json!({"user_id": ada.id, "exp": NOW + 1799});
    let reference_token = forge(&json!({"alg": "HS256", "typ": "JWT"}), &reference_token);
    let earlier = [ada.token.clone().unwrap(), reference_token];
    let mut last = earlier[0].clone();
    for change in ["password", "email", "logout"] {
        let caller = app.with_token(&last);
        let revoked = caller.token.clone().unwrap();
        last = match change {
            "password" => token(&caller.change_password(PASSWORD, PASSWORD).await.expect(200)),
            "email" => token(&caller.change_email("ada@example.com").await.expect(200)),
            _ => {
                caller.post("/logout", &json!({})).await.expect(204);
                token(&app.log_in("ada@example.com", PASSWORD).await.expect(200))
            }
        };
        let again = app.with_token(&last);
        let before = visible_data(&[&again]).await;
        for token in earlier.iter().chain([&revoked]) {
            let detail = "Could not validate credentials";
            let caller = app.with_token(token);
            assert_rejected_everywhere(&app, &caller, post, detail).await;
            assert_rejected_everywhere(&app, &caller, ada.id, detail).await;
            // If the token is optional, a revoked one counts as none.
            let seen = caller.get(&format!("/users/{}", ada.id)).await.expect(200).json();
            assert_eq!(seen["email"], Value::Null, "{change}");
        }
        assert_eq!(visible_data(&[&again]).await, before, "{change}");
    }
}

/// Tokens of the reference service have no `iat`. Their time of issue is `exp` minus the lifetime
/// of a token, here 30 minutes.
#[tokio::test]
async fn token_without_iat_after_sign_out_is_dated_by_its_expiry() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.post("/logout", &json!({})).await.expect(204);
    for (expires, status) in [(1799, 401), (1800, 401), (1801, 200), (3600, 200)] {
        let claims = json!({"user_id": ada.id, "exp": NOW + expires});
        let caller = app.with_token(&forge(&json!({"alg": "HS256"}), &claims));
        assert_eq!(caller.get("/users/me").await.status, status, "{expires}");
    }
}

fn token(response: &TestResponse) -> String {
    response.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn token_with_invalid_claims_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let good = json!({"user_id": ada.id, "exp": NOW + 60});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for claims in [
        good.clone(),
        with("exp", json!(1_738_324_860.5)),
        with("iat", json!(NOW + 1000)),
        with("nbf", json!(NOW)),
        with("sub", json!("ada")),
        with("iss", json!(["anything"])),
    ] {
        let caller = app.with_token(&forge(&header, &claims));
        caller.get("/users/me").await.expect(200);
    }
    for claims in [
        json!({"user_id": ada.id}),
        json!({"exp": NOW + 60}),
        json!([ada.id, NOW + 60]),
        with("exp", Value::Null),
        with("exp", json!((NOW + 60).to_string())),
        with("exp", json!(NOW)),
        with("exp", json!(-1)),
        with("exp", json!(true)),
        with("user_id", json!(ada.id.to_string())),
        with("user_id", json!(1.0)),
        with("user_id", json!(u64::MAX)),
        with("user_id", json!(true)),
        with("user_id", json!([1])),
        with("user_id", Value::Null),
        with("user_id", json!(0)),
        with("user_id", json!(-1)),
        with("user_id", json!(i64::MAX)),
        with("nbf", json!(NOW + 60)),
        with("nbf", json!("0")),
        with("nbf", Value::Null),
        with("iat", json!("0")),
        with("sub", json!(1)),
        with("jti", json!(1)),
        with("aud", json!("posts")),
        with("aud", Value::Null),
        with("at_hash", json!("x")),
    ] {
        let response = app.with_token(&forge(&header, &claims)).get("/users/me").await;
        assert_rejected(&response, "Could not validate credentials", &claims.to_string());
    }
}

#[tokio::test]
async fn token_with_invalid_header_or_form_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let claims = json!({"user_id": ada.id, "exp": NOW + 60});
    let plain = forge(&json!({"alg": "HS256"}), &claims);
    app.with_token(&plain).get("/users/me").await.expect(200);
    let kid = forge(&json!({"alg": "HS256", "kid": "../../dev/null", "jku": "http://e"}), &claims);
    app.with_token(&kid).get("/users/me").await.expect(200);
    let (message, signature) = plain.rsplit_once('.').unwrap();
    let mut tokens = vec![
        format!("{message}."),
        message.to_owned(),
        format!("{message}.{}", &signature[..20]),
        format!("{plain}.{signature}"),
        format!("{plain}.a.b"),
        format!(".{plain}"),
        format!("{plain}=="),
        format!("{plain}{}", "A".repeat(100_000)),
        forge(&json!({"alg": "HS256", "crit": ["exp"], "exp": 1}), &claims),
    ];
    for algorithm in ["none", "None", "nOnE", "HS512", "HS384", "RS256", "ES256", "HS", ""] {
        let token = forge(&json!({"alg": algorithm}), &claims);
        tokens.push(format!("{}.", token.rsplit_once('.').unwrap().0));
        tokens.push(token);
    }
    let twice = format!(r#"{{"user_id":1,"user_id":{},"exp":{}}}"#, ada.id, NOW + 60);
    let endless = format!(r#"{{"user_id":{},"exp":1e999}}"#, ada.id);
    for claims in [twice, endless, "null".to_owned(), "{".to_owned(), String::new()] {
        tokens.push(forge_text(r#"{"alg":"HS256"}"#, &claims));
    }
    for header in ["[]", "{}", r#"{"alg":["HS256"]}"#, r#"{"alg":null}"#, "", "x"] {
        tokens.push(forge_text(header, &claims.to_string()));
    }
    for token in tokens {
        let response = app.with_token(&token).get("/users/me").await;
        assert_rejected(&response, "Could not validate credentials", &token);
    }
}

#[tokio::test]
async fn token_outside_the_bearer_header_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let token = ada.token.clone().unwrap();
    for (values, status) in [
        (vec![format!("bearer {token}")], 200),
        (vec![format!("BEARER {token}")], 200),
        (vec![format!("Bearer {token}"), format!("Bearer {token}")], 401),
        (vec![format!("Basic {token}")], 401),
        (vec![token.clone()], 401),
        (vec!["Bearer".to_owned()], 401),
        (vec![format!("Bearer\t{token}")], 401),
    ] {
        let mut request = app.anonymous().request("GET", "/users/me");
        for value in &values {
            request = request.header("authorization", value);
        }
        let response = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(response.status, status, "{values:?}");
    }
    for path in [format!("/users/me?access_token={token}"), format!("/users/me?token={token}")] {
        let response = app.anonymous().get(&path).await;
        assert_rejected(&response, "Not authenticated", &path);
    }
}
