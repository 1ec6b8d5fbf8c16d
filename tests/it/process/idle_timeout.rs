//! Clients that hold a connection without using it: they do not read their responses, or send no
//! further request.

use std::time::Duration;

use post_api::server::Limits;

use super::limits::wait_for_permit;
use crate::support::frames::{END_HEADERS, END_STREAM, Kind, PREFACE, frame, request_fields};
use crate::support::{TestApp, TestServer};

const SHORT: Duration = Duration::from_millis(200);

/// The path of a response of more than a megabyte.
const LARGE: &str = "/docs/swagger-ui-bundle.js";

/// This many responses do not fit into the socket buffers of the kernel.
const REPETITIONS: usize = 20;

async fn serve(limits: Limits) -> (TestApp, TestServer) {
    let app = TestApp::start().await;
    let server = TestServer::start(app.routes(), limits);
    (app, server)
}

#[tokio::test]
async fn unread_response_releases_its_connection_permit() {
    let limits = Limits { idle_timeout: SHORT, connections: 1, ..Limits::default() };
    let (_app, server) = serve(limits).await;
    let mut wire = server.connect();
    wire.send(format!("GET {LARGE} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(REPETITIONS));
    wait_for_permit(&server);
    drop(wire);
}

/// Frames that the client sends do not count as reading.
#[tokio::test]
async fn unread_http_2_response_closes_the_connection_despite_other_frames() {
    let limits = Limits { idle_timeout: SHORT, connections: 1, ..Limits::default() };
    let (_app, server) = serve(limits).await;
    let mut wire = server.connect();
    wire.send(PREFACE);
    // With the largest windows only the network can delay the responses.
    wire.send(frame(Kind::Settings, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
    wire.send(frame(Kind::WindowUpdate, 0, 0, &[0x7f, 0, 0, 0]));
    let fields = request_fields("GET", LARGE);
    for request in (1..).step_by(2).take(REPETITIONS) {
        wire.send(frame(Kind::Headers, END_STREAM | END_HEADERS, request, &fields));
    }
    // A PRIORITY frame needs no response.
    let priority_frame = frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 1]);
    let mut sent = 0;
    while wire.try_send(&priority_frame).is_ok() {
        std::thread::sleep(SHORT / 20);
        sent += 1;
        assert!(sent < 2000, "the connection stays open");
    }
    wait_for_permit(&server);
}

/// The client answers pings, so the connection is alive.
#[tokio::test]
async fn idle_http_2_connection_is_closed() {
    let limits = Limits { head_timeout: SHORT / 4, idle_timeout: SHORT, ..Limits::default() };
    let (_app, server) = serve(limits).await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/livez", server.address);
    let request = axum::http::Request::get(uri).body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    let end = tokio::time::timeout(Duration::from_mins(1), connection).await;
    assert!(end.is_ok(), "the connection stays open");
    drop(client);
}
