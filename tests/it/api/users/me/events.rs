//! `GET /users/me/events`: the security events of the caller's account.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    PASSWORD, Setup, TestApp, TestCaller, TestResponse, growing_poll_limits, poll_at_most,
};

const ADA: &str = "ada@example.com";

/// Returns the events, newest first, once there are `count` of them. The service stores events of
/// rejected requests after the response.
async fn events(caller: &TestCaller<'_>, count: usize) -> Vec<String> {
    let list = || async { caller.get("/users/me/events").await.expect(200).json() };
    let mut events = list().await;
    while events.as_array().unwrap().len() < count {
        tokio::task::yield_now().await;
        events = list().await;
    }
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    events.as_array().unwrap().iter().map(name).collect()
}

fn token(response: &TestResponse) -> String {
    response.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn account_actions_are_recorded_as_events() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = bob.write_post("his").await;
    assert_eq!(events(&ada, 1).await, ["signed_up"]);
    app.log_in(ADA, PASSWORD).await.expect(200);
    assert_eq!(events(&ada, 2).await[0], "logged_in");
    app.log_in(ADA, "wrong").await.expect(403);
    assert_eq!(events(&ada, 3).await[0], "login_refused");
    ada.change_password("wrong", "94 moss anchors").await.expect(403);
    assert_eq!(events(&ada, 4).await[0], "password_refused");
    ada.delete(&format!("/posts/{post}")).await.expect(403);
    assert_eq!(events(&ada, 5).await[0], "ownership_refused");
    let content = json!({"title": "mine", "content": "text"});
    ada.put(&format!("/posts/{post}"), &content).await.expect(403);
    ada.delete(&format!("/users/{}", bob.id)).await.expect(403);
    assert_eq!(events(&ada, 7).await[..2], ["ownership_refused", "ownership_refused"]);

    let session = app.start_session(ADA).await;
    let refresh = session["refresh_token"].as_str().unwrap();
    app.refresh(refresh).await.expect(200);
    app.clock.advance(11);
    app.refresh(refresh).await.expect(400);
    assert_eq!(events(&ada, 9).await[..2], ["refresh_token_reused", "logged_in"]);
    app.start_session(ADA).await;
    ada.delete("/users/me/sessions").await.expect(204);
    assert_eq!(events(&ada, 11).await[0], "session_ended");

    let ada = app.with_token(&token(&ada.change_password(PASSWORD, PASSWORD).await.expect(200)));
    assert_eq!(events(&ada, 12).await[0], "password_changed");
    let ada = app.with_token(&token(&ada.change_email("ada@example.org").await.expect(200)));
    assert_eq!(events(&ada, 13).await[0], "email_changed");
    ada.post("/logout", &json!({})).await.expect(204);
    let again = app.log_in("ada@example.org", PASSWORD).await.expect(200);
    let ada = app.with_token(&token(&again));
    assert_eq!(events(&ada, 15).await[..2], ["logged_in", "signed_out"]);
    assert_eq!(events(&bob, 1).await, ["signed_up"]);
}

#[tokio::test]
async fn event_shows_time_and_client_ip() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    app.clock.advance(60);
    for client in ["203.0.113.9", "2001:db8::7"] {
        app.log_in_from(client, ADA, PASSWORD).await.expect(200);
    }
    let events = ada.get("/users/me/events").await.expect(200).json();
    let event =
        |event: &str, at: &str, client: Value| json!({"event": event, "at": at, "client": client});
    let expected = json!([
        event("logged_in", "2025-01-31T12:01:00.123456Z", json!("2001:db8::7")),
        event("logged_in", "2025-01-31T12:01:00.123456Z", json!("203.0.113.9")),
        event("signed_up", "2025-01-31T12:00:00.123456Z", Value::Null),
    ]);
    assert_eq!(events, expected);
}

/// A failed write of the event must not fail the login.
#[tokio::test]
async fn login_whose_event_cannot_be_stored_succeeds() {
    let app = TestApp::set_up(Setup::default()).await;
    app.sign_up("ada").await;
    app.execute("DROP TABLE events");
    app.log_in(ADA, PASSWORD).await.expect(200);
    app.log_in(ADA, "wrong").await.expect(403);
}

/// Otherwise a thief could disconnect before the response and leave no trace in the events.
#[tokio::test]
async fn action_of_disconnected_client_is_recorded() {
    let app = TestApp::start().await;
    let mut callers = Vec::new();
    for polls in growing_poll_limits() {
        let name = format!("user{polls}");
        let caller = app.signed_in(&name).await;
        let is_answered = poll_at_most(polls, caller.post("/logout", &json!({}))).await.is_some();
        callers.push((name, caller));
        if is_answered {
            break;
        }
    }
    let end = Instant::now() + Duration::from_mins(1);
    for (name, caller) in callers {
        while caller.get("/users/me").await.status == 401 {
            let again = app.log_in(&format!("{name}@example.com"), PASSWORD).await.expect(200);
            // The logout may still be in flight and revoke this token too.
            let events = app.with_token(&token(&again)).get("/users/me/events").await;
            if events.text().contains("signed_out") {
                break;
            }
            assert!(Instant::now() < end, "no event for the logout of {name}");
        }
    }
}
