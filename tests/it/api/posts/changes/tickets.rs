//! Tickets, and the streams that they open.

use serde_json::json;

use super::{CHANGES, TICKETS, open};
use crate::support::{TestApp, TestCaller};

#[tokio::test]
async fn ticket_opens_streams_for_a_minute_and_nothing_else() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let response = ada.post(TICKETS, &json!({})).await.expect(201);
    assert_eq!(response.header("cache-control"), "no-store");
    let bought = response.json();
    assert_eq!(bought["expires_in"], 60);
    let ticket = bought["ticket"].as_str().unwrap();
    let query = format!("?ticket={ticket}");
    for _ in 0..2 {
        open(&app, &app.anonymous(), &query).await.expect("hello").await;
    }
    let with_ticket = app.with_token(ticket);
    for path in ["/users/me", "/posts", CHANGES] {
        let response = with_ticket.get(path).await.expect(401);
        assert_eq!(response.detail(), "Could not validate credentials", "{path}");
    }
    with_ticket.post(TICKETS, &json!({})).await.expect(401);
    app.anonymous().post(&format!("{TICKETS}{query}"), &json!({})).await.expect(401);
    let token = ada.token.clone().unwrap();
    for other in [token.as_str(), "x", ""] {
        let path = format!("{CHANGES}?ticket={other}");
        let response = app.anonymous().get(&path).await.expect(401);
        assert_eq!(response.detail(), "Could not validate credentials", "{other}");
    }
    app.clock.advance(60);
    app.anonymous().get(&format!("{CHANGES}{query}")).await.expect(401);
    app.with_token("x").get(&format!("{CHANGES}{query}")).await.expect(401);
}

#[tokio::test]
async fn stream_of_a_ticket_ends_like_those_of_its_token() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let buy = async |caller: &TestCaller<'_>| {
        let bought = caller.post(TICKETS, &json!({})).await.expect(201).json();
        format!("?ticket={}", bought["ticket"].as_str().unwrap())
    };
    app.clock.advance(29 * 60 + 30);
    let query = buy(&ada).await;
    let mut stream = open(&app, &app.anonymous(), &query).await;
    stream.expect("hello").await;
    app.clock.advance(30);
    let again = app.with_token(&app.token_for(ada.id));
    again.write_post("after the end of the token").await;
    assert_eq!(stream.rest().await, []);
    app.anonymous().get(&format!("{CHANGES}{query}")).await.expect(401);

    let query = buy(&again).await;
    let mut stream = open(&app, &app.anonymous(), &query).await;
    stream.expect("hello").await;
    again.post("/logout", &json!({})).await.expect(204);
    assert_eq!(stream.rest().await, []);
    app.anonymous().get(&format!("{CHANGES}{query}")).await.expect(401);
    again.post(TICKETS, &json!({})).await.expect(401);
}
