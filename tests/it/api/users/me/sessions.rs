//! `/users/me/sessions`, and refresh tokens: `POST /login` with `scope=offline_access` or with
//! `grant_type=refresh_token`.

use serde_json::{Value, json};

use crate::support::{
    Engine, FORM, PASSWORD, Setup, TestApp, TestResponse, growing_poll_limits, poll_at_most,
    run_concurrently,
};

const EMAIL: &str = "ada@example.com";

fn text<'a>(response: &'a Value, name: &str) -> &'a str {
    response[name].as_str().unwrap()
}

fn refresh_token(response: &TestResponse) -> String {
    text(&response.json(), "refresh_token").to_owned()
}

#[track_caller]
fn assert_rejected(response: &TestResponse) {
    assert_eq!(response.status, 400, "{response:?}");
    let text = "the refresh token is not valid";
    let refusal = json!({"error": "invalid_grant", "error_description": text, "detail": text});
    assert_eq!(response.text(), refusal.to_string());
    assert_eq!(response.header("cache-control"), "no-store");
}

#[tokio::test]
async fn login_with_offline_access_returns_a_refresh_token() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let plain = app.log_in(EMAIL, PASSWORD).await.expect(200).json();
    assert_eq!(plain.as_object().unwrap().len(), 2);
    for (scope, has_refresh_token) in [
        ("offline_access", true),
        ("openid  offline_access email", true),
        ("", false),
        ("offline_access_not", false),
        ("OFFLINE_ACCESS", false),
    ] {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("username", EMAIL), ("password", PASSWORD), ("scope", scope)])
            .finish();
        let response = app.anonymous().send_raw("POST", "/login", FORM, form).await.expect(200);
        let body = response.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        if has_refresh_token {
            assert_eq!(names, ["access_token", "token_type", "expires_in", "refresh_token"]);
            assert_eq!(body["expires_in"], 1800);
            assert_eq!(response.header("cache-control"), "no-store");
        } else {
            assert_eq!(names, ["access_token", "token_type"], "{scope}");
        }
    }
}

#[tokio::test]
async fn session_outlives_its_access_tokens() {
    let app = TestApp::start().await;
    let id = app.sign_up("ada").await;
    let mut login = app.start_session(EMAIL).await;
    for _ in 0..3 {
        app.clock.advance(3600);
        let expired = app.with_token(text(&login, "access_token"));
        expired.get("/users/me").await.expect(401);
        let next = app.refresh(text(&login, "refresh_token")).await.expect(200).json();
        assert_ne!(next["refresh_token"], login["refresh_token"]);
        assert_eq!((&next["token_type"], &next["expires_in"]), (&json!("bearer"), &json!(1800)));
        let again = app.with_token(text(&next, "access_token"));
        assert_eq!(again.get("/users/me").await.expect(200).json()["id"], id);
        login = next;
    }
}

/// Two tabs may refresh together, and a response may get lost. Each caller gets the same valid
/// successor.
#[tokio::test]
async fn concurrent_refreshes_return_the_same_successor() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let login = app.start_session(EMAIL).await;
    let token = text(&login, "refresh_token");
    let responses = run_concurrently((0..8).map(|_| app.refresh(token))).await;
    let mut tokens: Vec<String> = responses.iter().map(refresh_token).collect();
    app.clock.advance(9);
    tokens.push(refresh_token(&app.refresh(token).await.expect(200)));
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    for response in &responses {
        let access = text(&response.json(), "access_token").to_owned();
        app.with_token(&access).get("/users/me").await.expect(200);
    }
    app.refresh(&tokens[0]).await.expect(200);
}

/// A trigger that makes the confirmation of each rotation fail, and the statements that remove it.
fn failing_confirmations(engine: Engine) -> [&'static str; 2] {
    match engine {
        Engine::Sqlite => [
            "CREATE TRIGGER unconfirmed BEFORE UPDATE ON sessions
             WHEN OLD.unconfirmed_hash IS NOT NULL AND NEW.unconfirmed_hash IS NULL
             BEGIN SELECT RAISE(ABORT, 'not now'); END",
            "DROP TRIGGER unconfirmed",
        ],
        Engine::Postgres => [
            "CREATE FUNCTION unconfirmed() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'not now'; END $$;
             CREATE TRIGGER unconfirmed BEFORE UPDATE ON sessions FOR EACH ROW
             WHEN (OLD.unconfirmed_hash IS NOT NULL AND NEW.unconfirmed_hash IS NULL)
             EXECUTE FUNCTION unconfirmed()",
            "DROP TRIGGER unconfirmed ON sessions; DROP FUNCTION unconfirmed",
        ],
    }
}

/// The database has rotated the token, but the service could not tell the client.
#[tokio::test]
async fn refresh_with_unknown_outcome_can_be_retried_at_every_replica() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let replica = app.replica();
        app.sign_up("ada").await;
        let login = app.start_session(EMAIL).await;
        let token = text(&login, "refresh_token");
        let [fail, recover] = failing_confirmations(engine);
        app.execute(fail);
        for process in [&app, &replica, &app] {
            assert!(process.refresh(token).await.status.is_server_error());
            app.clock.advance(400);
        }
        app.execute(recover);
        let next = refresh_token(&replica.refresh(token).await.expect(200));
        // After this response the token is like any other rotated token.
        app.clock.advance(9);
        assert_eq!(refresh_token(&app.refresh(token).await.expect(200)), next);
        app.clock.advance(1);
        assert_rejected(&app.refresh(token).await);
        assert_rejected(&replica.refresh(&next).await);
    }
}

/// A thief can overload the service, or wait for a failure.
#[tokio::test]
async fn refresh_that_failed_extends_no_retry() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let replica = app.replica();
        app.sign_up("ada").await;
        for fails_before_rotation in [true, false] {
            let login = app.start_session(EMAIL).await;
            let stolen = text(&login, "refresh_token");
            let next = if fails_before_rotation {
                assert_fails_without_table(&app, stolen).await;
                refresh_token(&replica.refresh(stolen).await.expect(200))
            } else {
                let next = refresh_token(&replica.refresh(stolen).await.expect(200));
                assert_fails_without_table(&app, stolen).await;
                next
            };
            app.clock.advance(11);
            assert_fails_without_table(&app, stolen).await;
            assert_rejected(&app.refresh(stolen).await);
            assert_rejected(&replica.refresh(&next).await);
        }
    }
}

/// Refreshes while the database fails.
async fn assert_fails_without_table(app: &TestApp, token: &str) {
    app.execute("ALTER TABLE sessions RENAME TO lost");
    assert!(app.refresh(token).await.status.is_server_error());
    app.execute("ALTER TABLE lost RENAME TO sessions");
}

/// A thief gains no time by disconnecting before the response.
#[tokio::test]
async fn refresh_of_disconnected_client_extends_no_retry() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    for polls in growing_poll_limits() {
        let login = app.start_session(EMAIL).await;
        let token = text(&login, "refresh_token");
        app.refresh(token).await.expect(200);
        app.clock.advance(9);
        if poll_at_most(polls, app.refresh(token)).await.is_some() {
            return;
        }
        app.clock.advance(2);
        assert_rejected(&app.refresh(token).await);
    }
}

/// The second use, by the thief or by the owner, revokes the session for both.
#[tokio::test]
async fn reused_refresh_token_revokes_the_session() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let other = app.start_session(EMAIL).await;
    let login = app.start_session(EMAIL).await;
    let stolen = text(&login, "refresh_token");
    let thief = refresh_token(&app.refresh(stolen).await.expect(200));
    app.clock.advance(11);
    assert_rejected(&app.refresh(stolen).await);
    assert_rejected(&app.refresh(&thief).await);
    assert_rejected(&app.refresh(stolen).await);
    app.refresh(text(&other, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn token_revocation_revokes_all_sessions() {
    let app = TestApp::start().await;
    for (number, action) in ["logout", "password", "email", "deletion"].into_iter().enumerate() {
        let name = format!("user{number}");
        app.sign_up(&name).await;
        let login = app.start_session(&format!("{name}@example.com")).await;
        let caller = app.with_token(text(&login, "access_token"));
        match action {
            "logout" => caller.post("/logout", &json!({})).await.expect(204),
            "password" => caller.change_password(PASSWORD, "94 moss anchors").await.expect(200),
            "email" => caller.change_email(&format!("new-{name}@example.com")).await.expect(200),
            _ => caller.delete("/users/me").await.expect(204),
        };
        assert_rejected(&app.refresh(text(&login, "refresh_token")).await);
    }
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_only_by_their_owner() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    assert_eq!(ada.get("/users/me/sessions").await.expect(200).json(), json!([]));
    let first = app.start_session(EMAIL).await;
    app.clock.advance(1);
    let second = app.start_session(EMAIL).await;
    let listed = ada.get("/users/me/sessions").await.expect(200);
    assert!(!listed.text().contains("hash") && !listed.text().contains("salt"));
    let listed = listed.json();
    let shown = json!({"id": listed[1]["id"], "user_agent": "",
        "created_at": "2025-01-31T12:00:00.123456Z", "used_at": "2025-01-31T12:00:00.123456Z",
        "expires_at": "2025-03-02T12:00:00.123456Z"});
    assert_eq!((listed.as_array().unwrap().len(), &listed[1]), (2, &shown));
    assert_eq!(bob.get("/users/me/sessions").await.expect(200).json(), json!([]));

    let path = format!("/users/me/sessions/{}", listed[1]["id"]);
    let missing = bob.delete(&path).await.expect(404);
    assert_eq!(missing.detail(), "no such session");
    for id in ["4711", "-1", "0", &"9".repeat(30)] {
        ada.delete(&format!("/users/me/sessions/{id}")).await.expect(404);
    }
    ada.delete("/users/me/sessions/x").await.expect(422);
    ada.delete(&path).await.expect(204);
    ada.delete(&path).await.expect(404);
    assert_rejected(&app.refresh(text(&first, "refresh_token")).await);
    let second = app.refresh(text(&second, "refresh_token")).await.expect(200);
    ada.delete("/users/me/sessions").await.expect(204);
    ada.delete("/users/me/sessions").await.expect(204);
    assert_rejected(&app.refresh(&refresh_token(&second)).await);
    // The access token does not belong to the session, so it stays valid.
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn session_shows_the_user_agent_of_its_login() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let form = format!("username={EMAIL}&password=plum+lantern+83+quay&scope=offline_access");
    for (agent, shown) in [
        (&b"curl/8.5.0"[..], "curl/8.5.0".to_owned()),
        ("Zürich".as_bytes(), "Zürich".to_owned()),
        (b"\xff", String::new()),
        (&[b'x'; 5000], "x".repeat(200)),
    ] {
        app.clock.advance(1);
        let request = app.anonymous().request("POST", "/login").header("user-agent", agent);
        let request = request.header("content-type", FORM).body(form.clone().into()).unwrap();
        app.send(request).await.expect(200);
        let listed = ada.get("/users/me/sessions").await.expect(200).json();
        assert_eq!(listed[0]["user_agent"], shown);
    }
}

#[tokio::test]
async fn invalid_refresh_token_is_rejected() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let login = app.start_session(EMAIL).await;
    let good = text(&login, "refresh_token");
    let access = text(&login, "access_token");
    for token in ["x", &good[1..], &format!("{good}AAAA"), access, &"A".repeat(75), "\0"] {
        assert_rejected(&app.refresh(token).await);
    }
    // A refresh token is not accepted as an access token.
    app.with_token(good).get("/users/me").await.expect(401);
    // Without a refresh token the form is that of a password login, and fails validation.
    let missing = app.refresh("").await.expect(422).json();
    assert_eq!(missing["detail"][0]["loc"], json!(["body", "grant_type"]));
    app.refresh(good).await.expect(200);
}

/// An attacker who reads the database or a copy of it finds no token.
#[tokio::test]
async fn refresh_tokens_are_not_stored() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let login = app.start_session(EMAIL).await;
    let next = app.refresh(text(&login, "refresh_token")).await.expect(200);
    for token in [text(&login, "refresh_token"), &refresh_token(&next)] {
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token)
                .unwrap();
        let stored = app.stored_bytes();
        for part in [&bytes[8..24], &bytes[24..], token.as_bytes()] {
            let hex: String =
                part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            for form in [part, hex.as_bytes()] {
                assert!(!stored.windows(form.len()).any(|window| window == form));
            }
        }
    }
}
