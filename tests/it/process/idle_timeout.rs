//! Clients that hold a connection without using it: they do not read their responses, or send no
//! further request.

use std::time::Duration;

use post_api::client_limits::ConnectionTimeouts;
use post_api::server::Limits;

use super::limits::wait_for_permit;
use crate::support::frames::{END_HEADERS, END_STREAM, Kind, PREFACE, frame, request_fields};
use crate::support::{Service, Setup, TestApp, TestServer, Wire, connections_of_a_network, limits};

const SHORT: Duration = Duration::from_millis(200);

/// The path of a response of more than a megabyte.
const LARGE: &str = "/docs/swagger-ui-bundle.js";

/// This many responses do not fit into the socket buffers of the kernel.
const REPETITIONS: usize = 20;

async fn serve(limits: Limits) -> (TestApp, TestServer) {
    let client_limits = connections_of_a_network(1);
    let app = TestApp::set_up(Setup { client_limits, ..Setup::default() }).await;
    let server = TestServer::start(app.routes(), limits);
    (app, server)
}

fn short_responses(timeouts: &mut ConnectionTimeouts) {
    timeouts.response = SHORT;
}

#[tokio::test]
async fn unread_response_releases_its_connection_permit() {
    let (_app, server) = serve(limits(short_responses)).await;
    let mut wire = server.connect();
    wire.send(format!("GET {LARGE} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(REPETITIONS));
    wait_for_permit(&server);
    drop(wire);
}

/// Frames that the client sends do not count as reading.
#[tokio::test]
async fn unread_http_2_response_closes_the_connection_despite_other_frames() {
    let (_app, server) = serve(limits(short_responses)).await;
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

/// Sends an HTTP/2 request for the path on a new connection.
fn request_http_2(server: &TestServer, settings: &[u8], path: &str) -> Wire {
    let mut wire = server.connect();
    wire.send(PREFACE);
    wire.send(frame(Kind::Settings, 0, 0, settings));
    wire.send(frame(Kind::Headers, END_STREAM | END_HEADERS, 1, &request_fields("GET", path)));
    wire
}

#[track_caller]
fn assert_closed_despite_pings(mut wire: Wire) {
    let mut sent = 0;
    while wire.try_send(frame(Kind::Ping, 0, 0, &[0; 8])).is_ok() {
        std::thread::sleep(SHORT / 20);
        sent += 1;
        assert!(sent < 2000, "the connection stays open");
    }
}

/// Pings are no requests. The client sends them without a pause, and acknowledges none.
#[tokio::test]
async fn http_2_connection_without_a_request_is_closed_despite_pings() {
    let limits = limits(|timeouts| {
        (timeouts.keep_alive, timeouts.response) = (SHORT, SHORT);
    });
    let (_app, server) = serve(limits).await;
    assert_closed_despite_pings(request_http_2(&server, &[], "/livez"));
    wait_for_permit(&server);
}

/// A response of any size has a time limit, although its window is closed and the client sends.
#[tokio::test]
async fn small_http_2_response_with_closed_window_is_dropped_despite_pings() {
    const ONE_BYTE: [u8; 6] = [0, 4, 0, 0, 0, 1];
    let app = TestApp::start().await;
    let server = TestServer::start(app.routes(), limits(short_responses));
    for settings in [[0, 4, 0, 0, 0, 0], ONE_BYTE] {
        for path in ["/livez", "/users/1", LARGE] {
            assert_closed_despite_pings(request_http_2(&server, &settings, path));
        }
    }
}

/// The service says which requests it has processed before it closes the connection.
#[tokio::test]
async fn idle_http_2_connection_ends_with_goaway() {
    let (_app, server) = serve(limits(|timeouts| timeouts.keep_alive = SHORT)).await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/livez", server.address);
    let request = axum::http::Request::get(uri).body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    let end = tokio::time::timeout(Duration::from_mins(1), connection).await;
    end.expect("the connection stays open").unwrap().expect("no GOAWAY");
    drop(client);
}

#[test]
fn keep_alive_timeout_is_a_setting() {
    let service = Service::start(&[("KEEP_ALIVE_TIMEOUT_SECONDS", "1")]);
    let mut wire = service.connect();
    assert_eq!(wire.call("GET", "/livez", "", None).unwrap().status, 200);
    assert_eq!(wire.rest(), "", "the connection stays open");
}
