//! Target for raw bytes to the real listener: every connection ends, and carries only complete
//! responses, none of them with a status of 500 or more.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use post_api::api::openapi;
use post_api::domain::policy::Policy;
use post_api::server::Limits;

use crate::FuzzTarget;
use crate::service::Service;
use crate::support::{DocumentChecker, TestResponse, TestServer};

/// A connection that stays open for longer after the last byte from the client is a bug.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The connection preface of HTTP/2 (RFC 9113, section 3.4), whose responses are binary frames.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn prepare() -> FuzzTarget {
    let service = Service::start(false);
    let checker = DocumentChecker::of(&openapi::document("", &Policy::default()));
    let server = TestServer::start(service.app().routes(), Limits::default());
    Box::new(move |data| {
        service.reset();
        service.mark_as_changed();
        // Captures the whole server, not only its address: the server stops when it is dropped.
        let listener = &server;
        let received = exchange(listener.address, data);
        if data.starts_with(HTTP2_PREFACE) {
            return;
        }
        for response in responses(&received) {
            checker.check_unmatched_response(&response);
        }
    })
}

/// Sends the data and reads until the connection ends.
fn exchange(address: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    // The service may close the connection before it has read everything.
    let _ = stream.write_all(data).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection does not end");
    }
    received
}

/// Parses the responses, which must follow each other without other bytes.
fn responses(mut received: &[u8]) -> Vec<TestResponse> {
    let mut responses = Vec::new();
    while !received.is_empty() {
        let (response, rest) = parse_response(received);
        responses.push(response);
        received = rest;
    }
    responses
}

fn parse_response(received: &[u8]) -> (TestResponse, &[u8]) {
    let shown = String::from_utf8_lossy(received);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = head.parse(received) else {
        panic!("no response: {shown}");
    };
    let status = StatusCode::from_u16(head.code.unwrap()).unwrap();
    let mut headers = HeaderMap::new();
    for field in head.headers.iter() {
        let name: HeaderName = field.name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(field.value).unwrap());
    }
    assert!(!headers.contains_key("transfer-encoding"), "unexpected chunked response: {shown}");
    let rest = &received[length..];
    let length: usize =
        headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    // A response to HEAD has the length of a body that it does not have.
    let has_no_body = rest.is_empty() || rest.starts_with(b"HTTP/1.");
    let length = if has_no_body { 0 } else { length };
    assert!(length <= rest.len(), "a body is cut off: {shown}");
    let (body, rest) = rest.split_at(length);
    (TestResponse { status, headers, body: body.to_vec() }, rest)
}
