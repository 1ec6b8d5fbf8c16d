//! Bytes as they come from a stranger, through the real listener: every connection comes to an end,
//! and until then says nothing but answers, none of which is a fault of ours.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use post_api::server::Limits;

use crate::Attack;
use crate::response_checker::Judge;
use crate::service::Service;
use crate::support::{Answer, Served};

/// After which a connection that nobody writes to any more counts as one without an end.
const PATIENCE: Duration = Duration::from_secs(30);

/// With this begins HTTP/2 (RFC 9113, 3.4), whose answers are no lines.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn open() -> Attack {
    let service = Service::start(false);
    let judge = Judge::of(&service);
    let served = Served::start(service.app().routes(), Limits::default());
    Box::new(move |data| {
        service.reset();
        service.mark_as_changed();
        // The whole of it: it ends when it is dropped.
        let listener = &served;
        let said = exchange(listener.address, data);
        if data.starts_with(PREFACE) {
            return;
        }
        for answer in answers(&said) {
            judge.check_any(&answer);
        }
    })
}

/// Says it all, and listens to the end.
fn exchange(address: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be cut off before everything was said.
    let _ = stream.write_all(data).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection has no end");
    }
    said
}

/// One after the other, with nothing between them.
fn answers(mut said: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !said.is_empty() {
        let (answer, rest) = answer(said);
        answers.push(answer);
        said = rest;
    }
    answers
}

fn answer(said: &[u8]) -> (Answer, &[u8]) {
    let shown = String::from_utf8_lossy(said);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = head.parse(said) else {
        panic!("no answer: {shown}");
    };
    let status = StatusCode::from_u16(head.code.unwrap()).unwrap();
    let mut headers = HeaderMap::new();
    for field in head.headers.iter() {
        let name: HeaderName = field.name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(field.value).unwrap());
    }
    assert!(!headers.contains_key("transfer-encoding"), "every length is known: {shown}");
    let rest = &said[length..];
    let length: usize =
        headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    // A HEAD is told the length of what it is not given.
    let is_left_out = rest.is_empty() || rest.starts_with(b"HTTP/1.");
    let length = if is_left_out { 0 } else { length };
    assert!(length <= rest.len(), "a body is cut: {shown}");
    let (body, rest) = rest.split_at(length);
    (Answer { status, headers, body: body.to_vec() }, rest)
}
