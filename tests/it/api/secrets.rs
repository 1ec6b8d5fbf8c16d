//! No response contains a password or token from a request of any shape.

use serde_json::{Value, json};

use crate::support::{FORM, TestApp, TestCaller};

/// A text that appears in requests only as the secret.
const SECRET: &str = "Zq7-Canary-Lantern";

/// Returns invalid sign-ups with the secret in every place where a faulty client may put it.
fn shapes() -> Vec<Value> {
    let good = json!({"email": "ada@example.com", "password": SECRET});
    vec![
        json!({"password": SECRET}),
        json!({"email": "no-email", "password": SECRET}),
        json!({"email": 5, "password": SECRET}),
        json!({"email": "ada@example.com", "password": [SECRET]}),
        json!({"email": "ada@example.com", "password": {"password": SECRET}}),
        json!({"email": "ada@example.com", "password": {"value": SECRET, "again": [SECRET]}}),
        json!({"username": "ada", "password": SECRET}),
        json!({"email": "ada@example.com", "Password": SECRET}),
        json!({"email": "ada@example.com", "PASSWORD": SECRET}),
        json!({"email": "ada@example.com", "password ": SECRET}),
        json!({"email": "ada@example.com", "new_password": SECRET}),
        json!({"email": "ada@example.com", "passwordConfirmation": SECRET}),
        json!({"email": "ada@example.com", "passwort": SECRET}),
        json!({"email": "ada@example.com", "pwd": SECRET}),
        json!({"mail": "ada@example.com", "user": {"pass": SECRET}}),
        json!({"email": good, "password": 5}),
        json!({"user": good}),
        json!({"users": [[good]]}),
        json!([good]),
        json!([[good]]),
        json!(["ada@example.com", SECRET]),
        json!([["password", SECRET]]),
        json!(SECRET),
        json!(good.to_string()),
        json!([good.to_string()]),
    ]
}

/// Sends the body, and checks that the response does not contain the secret.
async fn assert_not_echoed(caller: &TestCaller<'_>, path: &str, media_type: &str, body: String) {
    let response = caller.send_raw("POST", path, media_type, body.clone()).await;
    assert!(response.status == 422 || response.status == 400, "{}: {body}", response.status);
    let text = response.text();
    let headers = format!("{:?}", response.headers);
    assert!(!text.contains(SECRET) && !headers.contains(SECRET), "{media_type} {body}: {text}");
}

#[tokio::test]
async fn rejected_sign_up_does_not_echo_the_password() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    for shape in shapes() {
        for media_type in
            ["application/json", "application/json; charset=utf-8", "text/plain", FORM]
        {
            let body = shape.to_string();
            assert_not_echoed(&anonymous, "/users", media_type, body).await;
        }
    }
    for broken in [
        format!(r#"{{"email":"ada@example.com","password":"{SECRET}""#),
        format!(r#"{{"password":"{SECRET}"}} trailing"#),
        format!(r#"{{"password":"{SECRET}\ud800"}}"#),
        format!(r#"{{"password":"\x {SECRET}"}}"#),
        format!(r#"{{"password":{SECRET}}}"#),
        format!("email=ada%40example.com&password={SECRET}"),
        SECRET.to_owned(),
    ] {
        for media_type in ["application/json", "", "text/plain", FORM, "multipart/form-data"] {
            assert_not_echoed(&anonymous, "/users", media_type, broken.clone()).await;
        }
    }
    let too_long = json!({"email": "ada@example.com", "password": SECRET.repeat(300)});
    assert_not_echoed(&anonymous, "/users", "application/json", too_long.to_string()).await;
}

#[tokio::test]
async fn rejected_login_does_not_echo_the_password() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    for body in [
        format!("password={SECRET}"),
        format!("username=&password={SECRET}"),
        format!("username=ada&password={SECRET}&grant_type=x"),
        format!("Username=ada&Password={SECRET}"),
        json!({"username": "ada", "password": SECRET}).to_string(),
    ] {
        for media_type in
            [FORM, "application/json", "text/plain", "", "multipart/form-data; boundary=b"]
        {
            assert_not_echoed(&anonymous, "/login", media_type, body.clone()).await;
        }
    }
    let response = app.log_in("ada@example.com", SECRET).await.expect(403);
    assert!(!response.text().contains(SECRET));
}

/// A client may confuse routes.
#[tokio::test]
async fn password_sent_to_another_route_is_not_echoed() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let sign_up = json!({"email": "ada@example.com", "password": SECRET});
    for path in ["/posts", "/vote"] {
        for (media_type, body) in [
            ("application/json", sign_up.to_string()),
            ("application/json", json!([sign_up]).to_string()),
            ("application/json", json!({"title": sign_up, "post_id": sign_up}).to_string()),
            ("text/plain", sign_up.to_string()),
            (FORM, format!("username=ada%40example.com&password={SECRET}")),
        ] {
            assert_not_echoed(&ada, path, media_type, body).await;
        }
    }
}

/// Tokens are secrets like passwords.
#[tokio::test]
async fn token_sent_to_another_route_is_not_echoed() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let login = app.start_session("ada@example.com").await;
    let text = |name: &str| login[name].as_str().unwrap();
    let ada = app.with_token(text("access_token"));
    for path in ["/posts", "/vote", "/users", "/users/me/password"] {
        for (name, token) in [
            ("refresh_token", text("refresh_token")),
            ("refreshToken", text("refresh_token")),
            ("token", text("refresh_token")),
            ("access_token", text("access_token")),
        ] {
            let field = json!({ name: token });
            for (media_type, body) in [
                ("application/json", field.to_string()),
                ("application/json", json!([field]).to_string()),
                ("application/json", json!({"title": field, "password": field}).to_string()),
                ("text/plain", field.to_string()),
                (FORM, format!("grant_type=refresh_token&{name}={token}")),
            ] {
                let response = ada.send_raw("POST", path, media_type, body).await.expect(422);
                assert!(!response.text().contains(token), "{path} {name}: {}", response.text());
            }
        }
    }
}

/// Other input is echoed as sent, so that developers can find their mistake.
#[tokio::test]
async fn rejected_sign_up_echoes_all_other_input() {
    let app = TestApp::start().await;
    for (body, input) in [
        (json!("ada@example.com"), json!("ada@example.com")),
        (json!([]), json!([])),
        (json!(5), json!(5)),
        (json!({"emial": "a", "extra": [1]}), json!({"emial": "a", "extra": [1]})),
        (json!({"password": SECRET, "x": 1}), json!({"password": "**********", "x": 1})),
    ] {
        let response = app.anonymous().post("/users", &body).await.expect(422).json();
        assert_eq!(response["detail"][0]["input"], input);
    }
}

#[tokio::test]
async fn responses_contain_no_password_and_no_hash() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "password": SECRET});
    let created = app.anonymous().post("/users", &body).await.expect(201);
    let login = app.log_in("ada@example.com", SECRET).await.expect(200);
    let ada = app.with_token(login.json()["access_token"].as_str().unwrap());
    let path = format!("/users/{}", created.json()["id"]);
    let form = format!("username=ada%40example.com&password={SECRET}&scope=offline_access");
    let session = app.anonymous().send_raw("POST", "/login", FORM, form).await.expect(200);
    let refresh = session.json()["refresh_token"].as_str().unwrap().to_owned();
    for response in [created, ada.get(&path).await, ada.get("/users/me").await, login, session] {
        let text = response.text();
        assert!(!text.contains(SECRET) && !text.contains("argon2"), "{text}");
    }
    for path in ["/users/me", "/users/me/sessions", "/users/me/events"] {
        let response = ada.get(path).await.expect(200);
        assert!(!response.text().contains(&refresh), "{}", response.text());
    }
    let stored = app.stored_bytes();
    let contains = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("ada@example.com") && !contains(SECRET));
}
