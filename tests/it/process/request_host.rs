//! `Host`, `:authority` and transfer codings (RFC 9112, 3.2 and 6.1; RFC 9113, 8.3.1): the service
//! rejects what a proxy could read differently.

use post_api::server::Limits;

use crate::support::frames::{self, END_HEADERS, END_STREAM, Kind, PREFACE, field, frame};
use crate::support::{TestApp, TestResponse, TestServer, Wire};

async fn serve() -> (TestApp, TestServer) {
    let app = TestApp::start().await;
    let server = TestServer::start(app.routes(), Limits::default());
    (app, server)
}

/// Hosts that a request may name.
const VALID: [&str; 13] = [
    "localhost",
    "localhost:8000",
    "EXAMPLE.org",
    "example.org.",
    "192.0.2.1:80",
    "[::1]",
    "[2001:db8::7]:8443",
    "xn--bcher-kva.example",
    "under_score.example",
    "a%20b.example",
    "example.org:",
    "",
    "a!$&'()*+,;=~b",
];

const INVALID: [&str; 16] = [
    "a b",
    "a/b",
    "a b/c?",
    "a?b",
    "a#b",
    "user@example.org",
    "user:password@example.org",
    "example.org:80a",
    "example.org:80:80",
    "example.org:-1",
    "[::1",
    "[::1]x",
    "[example.org]",
    "a%2",
    "http://example.org",
    "b\u{fc}cher.example",
];

/// Sends the request and returns its response, after which an HTTP/1 connection must be closed if
/// the response is an error of the head.
#[track_caller]
fn answer(server: &TestServer, head: &str) -> TestResponse {
    let mut wire = Wire::connect(server.address);
    let response = wire.exchange(head);
    if [400, 501].contains(&response.status.as_u16()) {
        assert_eq!(response.header("connection"), "close", "{head:?}");
        assert_eq!(wire.rest(), "", "{head:?}");
    }
    response
}

#[tokio::test]
async fn valid_host_is_served() {
    let (_app, server) = serve().await;
    for host in VALID {
        for version in ["1.0", "1.1"] {
            let head = format!("GET /livez HTTP/{version}\r\nHost: {host} \r\n\r\n");
            assert_eq!(answer(&server, &head).status, 200, "{host:?}");
        }
    }
}

#[tokio::test]
async fn missing_repeated_or_invalid_host_gets_400() {
    let (_app, server) = serve().await;
    let mut heads = vec![
        "GET /livez HTTP/1.1\r\n\r\n".to_owned(),
        "GET http://example.org/livez HTTP/1.1\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: y\r\nHOST: b\r\n\r\n".to_owned(),
        "GET http://user@example.org/livez HTTP/1.1\r\nhost: example.org\r\n\r\n".to_owned(),
        "POST /users HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "OPTIONS /posts HTTP/1.1\r\norigin: http://a\r\naccess-control-request-method: PUT\r\n\r\n"
            .to_owned(),
    ];
    for host in INVALID {
        heads.push(format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        heads.push(format!("GET /livez HTTP/1.0\r\nHost: {host}\r\n\r\n"));
    }
    for head in heads {
        let response = answer(&server, &head);
        assert_eq!(response.status, 400, "{head:?}");
        assert!(response.detail().contains("Host"), "{head:?}: {response:?}");
        assert!(!response.header("x-request-id").is_empty(), "{head:?}");
    }
    assert_eq!(server.connect().call("GET", "/livez", "", None).unwrap().status, 200);
}

/// RFC 9112, 6.1. A coding without `chunked` at its end gives no length, so it is 400.
#[tokio::test]
async fn unsupported_transfer_coding_gets_501() {
    let (_app, server) = serve().await;
    let send = |coding: &str| {
        let head = format!(
            "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{coding}\r\n\
             2\r\n{{}}\r\n0\r\n\r\n"
        );
        answer(&server, &head).status.as_u16()
    };
    for coding in
        ["gzip, chunked", "gzip,chunked", "x, chunked", "identity, chunked", "chunked, chunked"]
    {
        assert_eq!(send(&format!("transfer-encoding: {coding}\r\n")), 501, "{coding}");
    }
    let two_lines = "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n";
    assert_eq!(send(two_lines), 501);
    for coding in ["gzip", "chunked, gzip", "identity"] {
        assert_eq!(send(&format!("transfer-encoding: {coding}\r\n")), 400, "{coding}");
    }
    for coding in ["chunked", "Chunked", " chunked "] {
        assert_eq!(send(&format!("transfer-encoding: {coding}\r\n")), 422, "{coding}");
    }
}

/// Sends a GET of `/livez` over HTTP/2 with these fields after the method and the scheme, and returns
/// the status; `None` if the service resets the stream.
fn status_over_http_2(server: &TestServer, fields: &[(&str, &str)]) -> Option<u16> {
    let mut block = vec![0x82, 0x86];
    block.extend(field(":path", "/livez"));
    block.extend(fields.iter().flat_map(|(name, value)| field(name, value)));
    let request = frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &block);
    let settings = frame(Kind::Settings, 0, 0, &[]);
    frames::first_status(server.address, &[PREFACE, &settings, &request].concat())
}

#[tokio::test]
async fn http_2_authority_follows_the_rules_of_host() {
    let (_app, server) = serve().await;
    for fields in [
        vec![(":authority", "localhost")],
        vec![(":authority", "[::1]:80")],
        vec![("host", "localhost")],
        vec![(":authority", "localhost"), ("host", "localhost")],
        vec![(":authority", "localhost"), ("host", "LOCALHOST")],
    ] {
        assert_eq!(status_over_http_2(&server, &fields), Some(200), "{fields:?}");
    }
    for fields in [
        vec![],
        vec![(":authority", "localhost"), ("host", "elsewhere")],
        vec![("host", "localhost"), ("host", "localhost")],
        vec![(":authority", "localhost"), ("host", "localhost"), ("host", "localhost")],
        vec![(":authority", "user@localhost")],
        vec![(":authority", "localhost:port")],
        vec![("host", "a b")],
        vec![(":authority", "a b")],
    ] {
        let status = status_over_http_2(&server, &fields);
        assert!(status.is_none_or(|status| status == 400), "{fields:?}: {status:?}");
    }
    let missing = status_over_http_2(&server, &[]);
    assert_eq!(missing, Some(400), "the service decides, not the library");
}
