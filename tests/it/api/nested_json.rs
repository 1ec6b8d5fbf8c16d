//! JSON that contains more JSON in its strings. A library that unpacks such strings recursively
//! would let a client overflow the stack.

use serde_json::{Value, json};

use crate::support::{TestApp, forge};

/// The field name that makes `serde_json`, with its feature `raw_value`, parse a string as JSON.
const RAW: &str = "$serde_json::private::RawValue";

/// Returns JSON with so many levels of JSON in strings.
fn nest(levels: usize) -> String {
    let mut text = "[[[[]]]]".to_owned();
    for _ in 0..levels {
        // Escapes of escapes grow by a few bytes per level; backslashes would double.
        let inner = text.replace('\\', "\\u005c").replace('"', "\\u0022");
        text = format!("{}{{\"{RAW}\":\"{inner}\"}}{}", "[".repeat(120), "]".repeat(120));
    }
    text
}

#[tokio::test]
async fn body_with_nested_raw_json_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for levels in [1, 2, 12] {
        let body = nest(levels);
        assert!(body.len() < 100_000, "{}", body.len());
        for (caller, path) in [(&app.anonymous(), "/users"), (&ada, "/posts"), (&ada, "/vote")] {
            let response = caller.send_raw("POST", path, "application/json", body.clone()).await;
            assert!(response.status.is_client_error(), "{path}: {}", response.status);
        }
    }
}

#[tokio::test]
async fn token_with_nested_raw_json_is_rejected() {
    let app = TestApp::start().await;
    let hidden: Value = json!({ RAW: nest(2) });
    let exp = 1_900_000_000;
    for (header, claims) in [
        (json!({"alg": "HS256", "extra": hidden}), json!({"user_id": 1, "exp": exp})),
        (json!({"alg": "HS256"}), json!({"user_id": hidden, "exp": exp})),
        (json!({"alg": "HS256", "extra": "x".repeat(5000)}), json!({"user_id": 1, "exp": exp})),
    ] {
        app.with_token(&forge(&header, &claims)).get("/users/me").await.expect(401);
    }
}

/// Each value takes more memory than its two bytes, so the number of values is limited.
#[tokio::test]
async fn body_with_a_million_values_is_rejected() {
    let app = TestApp::start().await;
    for body in [format!("[{}0]", "0,".repeat(999_999)), format!("[{}[]]", "[],".repeat(600_000))] {
        let response = app.anonymous().send_raw("POST", "/users", "application/json", body).await;
        assert_eq!(response.expect(400).detail(), "There was an error parsing the body");
    }
}
