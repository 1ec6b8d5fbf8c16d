//! Limits for a client: time, bytes and connections. A client that exceeds a limit gets an error
//! response if possible, and other clients are not affected.

use std::time::Duration;

use post_api::server::Limits;
use serde_json::json;

use crate::support::{Setup, TestApp, TestServer, connections_of_a_network, limits};

/// A time limit that the tests can wait for.
const SHORT: Duration = Duration::from_millis(200);

/// Length of a body in bytes: over the limit of any body, under the limit for draining, and over
/// the socket buffers of the kernel.
const LENGTH: usize = 7 * 1024 * 1024;

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn serve(limits: Limits) -> (TestApp, TestServer) {
    let app = TestApp::start().await;
    let server = TestServer::start(app.routes(), limits);
    (app, server)
}

#[track_caller]
fn assert_alive(server: &TestServer) {
    assert_eq!(server.connect().exchange(LIVEZ).status, 200);
}

/// The service releases a permit once it has noticed the end of a connection.
#[track_caller]
pub(super) fn wait_for_permit(server: &TestServer) {
    let end = std::time::Instant::now() + Duration::from_mins(1);
    loop {
        let mut wire = server.connect();
        if wire.call("GET", "/livez", "", None).is_ok_and(|response| response.status == 200) {
            return;
        }
        assert!(std::time::Instant::now() < end, "the permit is never released");
    }
}

#[tokio::test]
async fn request_head_over_the_time_limit_closes_the_connection() {
    let (_app, server) = serve(limits(|timeouts| timeouts.head = SHORT)).await;
    for beginning in
        ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nhost: localhost\r\n"]
    {
        let mut wire = server.connect();
        wire.send(beginning);
        let output = wire.rest();
        assert!(
            output.is_empty() || output.starts_with("HTTP/1.1 408 "),
            "{beginning:?}: {output}"
        );
    }
    assert_alive(&server);
}

/// The time limit holds for the whole head: single bytes do not extend it.
#[tokio::test]
async fn trickling_request_head_closes_the_connection() {
    let (_app, server) = serve(limits(|timeouts| timeouts.head = SHORT)).await;
    let mut wire = server.connect();
    wire.send("GET /livez HTTP/1.1\r\n");
    let mut bytes = 0;
    while wire.try_send("a").is_ok() {
        std::thread::sleep(SHORT / 20);
        bytes += 1;
        assert!(bytes < 2000, "the connection stays open");
    }
    assert_alive(&server);
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let (_app, server) = serve(limits(|timeouts| timeouts.keep_alive = SHORT)).await;
    let mut wire = server.connect();
    assert_eq!(wire.exchange(LIVEZ).status, 200);
    assert_eq!(wire.rest(), "");
    assert_alive(&server);
}

#[tokio::test]
async fn truncated_body_is_rejected() {
    let (app, server) = serve(Limits::default()).await;
    for framing in
        ["content-length: 100\r\n\r\n{\"email\":", "transfer-encoding: chunked\r\n\r\n64\r\n{"]
    {
        let mut wire = server.connect();
        wire.send(format!(
            "POST /users HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}"
        ));
        wire.finish();
        let output = wire.rest();
        assert!(output.is_empty() || output.starts_with("HTTP/1.1 400 "), "{framing:?}: {output}");
    }
    assert_alive(&server);
    app.anonymous().get("/users/1").await.expect(404);
}

#[tokio::test]
async fn connections_over_the_share_of_their_network_are_closed() {
    let client_limits = connections_of_a_network(2);
    let app = TestApp::set_up(Setup { client_limits, ..Setup::default() }).await;
    let server = TestServer::start(app.routes(), Limits::default());
    let mut first = server.connect();
    let mut second = server.connect();
    assert_eq!(first.exchange(LIVEZ).status, 200);
    assert_eq!(second.exchange(LIVEZ).status, 200);
    for _ in 0..5 {
        assert_eq!(server.connect().rest(), "");
    }
    assert_eq!(first.exchange(LIVEZ).status, 200);
    assert_eq!(second.exchange(LIVEZ).status, 200);

    drop(first);
    wait_for_permit(&server);
}

/// A client that sends everything before it reads must still get the response.
#[tokio::test]
async fn oversized_body_gets_413_after_it_was_sent() {
    let (app, server) = serve(Limits::default()).await;
    let ada = app.signed_in("ada").await;
    let token = ada.token.as_deref().unwrap();
    let head = format!(
        "POST /posts HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n"
    );
    let body = "x".repeat(LENGTH);
    let announced = format!("{head}content-length: {LENGTH}\r\n\r\n{body}");
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n{LENGTH:x}\r\n{body}\r\n0\r\n\r\n");
    for request in [announced, chunked] {
        let mut wire = server.connect();
        wire.send(request);
        let response = wire.read_response().expect(413);
        assert_eq!(response.detail(), "the body is larger than 2 MiB");
    }
    assert_alive(&server);
}

#[tokio::test]
async fn body_of_exactly_the_limit_is_accepted() {
    let (app, server) = serve(Limits::default()).await;
    let ada = app.signed_in("ada").await;
    let around = json!({"title": "", "content": "large"}).to_string().len();
    let title = "x".repeat(2 * 1024 * 1024 - around);
    let body = json!({"title": title, "content": "large"});
    let response =
        server.connect().call("POST", "/posts", ada.token.as_deref().unwrap(), Some(&body));
    assert_eq!(response.unwrap().expect(201).json()["title"], title);
}

#[tokio::test]
async fn early_rejection_is_delivered_before_the_body_is_read() {
    let (_app, server) = serve(Limits::default()).await;
    let mut wire = server.connect();
    for _ in 0..3 {
        let response =
            wire.call("POST", "/posts", "", Some(&json!({"title": "a", "content": "b"})));
        assert_eq!(response.unwrap().expect(401).detail(), "Not authenticated");
    }
    assert_eq!(wire.exchange(LIVEZ).status, 200, "the connection is not usable any more");

    let body = json!({"title": "x".repeat(LENGTH)});
    let response = server.connect().call("POST", "/posts", "", Some(&body)).unwrap();
    assert_eq!(response.expect(401).detail(), "Not authenticated");
}

#[tokio::test]
async fn endless_body_is_cut_off() {
    let (_app, server) = serve(Limits::default()).await;
    let mut wire = server.connect();
    wire.send("POST /posts HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let max_chunks = 64 * 1024 * 1024 / chunk.len();
    let accepted = (0..max_chunks).take_while(|_| wire.try_send(&chunk).is_ok()).count();
    assert!(accepted < max_chunks, "the service read 64 MiB");
    assert_alive(&server);
}
