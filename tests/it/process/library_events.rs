//! Events of libraries stay out of the log: they repeat parts of requests, such as a query.

use std::time::{Duration, Instant};

use crate::support::frames::{END_HEADERS, END_STREAM, Kind, PREFACE, frame, request_fields};
use crate::support::{Service, Wire};

const SECRET: &str = "canary-7c1f0a94";

/// Sends the frames on a new HTTP/2 connection.
fn send(service: &Service, frames: &[u8]) -> Wire {
    let mut wire = service.connect();
    wire.send([PREFACE, &frame(Kind::Settings, 0, 0, b""), frames].concat());
    wire
}

#[test]
fn no_level_logs_a_query_or_other_text_of_a_request_over_http2() {
    let mut service =
        Service::start(&[("LOG_LEVEL", "trace"), ("ACCESS_LOG", "on"), ("NO_COLOR", "1")]);
    let flags = END_HEADERS | END_STREAM;
    let headers = |path: &str| frame(Kind::Headers, flags, 1, &request_fields("GET", path));
    let well_formed = send(&service, &headers(&format!("/livez?well-formed={SECRET}")));
    wait_for(&service, "path=\"/livez\"");
    drop(well_formed);
    let malformed = send(&service, &headers(&format!("/posts?malformed={SECRET} x")));
    // GOAWAY: the last stream, an error code, debug data.
    let go_away = [&[0; 7][..], &[2], SECRET.as_bytes()].concat();
    let going_away = send(&service, &frame(Kind::GoAway, 0, 0, &go_away));
    for mut wire in [malformed, going_away] {
        wire.finish();
        wire.rest();
    }
    let mut wire = Wire::connect(service.address());
    wire.send(format!("GET /posts?http1={SECRET} x HTTP/1.1\r\nhost: a\r\n\r\n"));
    wire.rest();
    service.terminate();
    assert!(service.wait().success());
    let log = service.final_stderr();
    assert!(!log.contains(SECRET), "{log}");
    for library in ["h2", "hyper", "hyper_util", "rustls", "tower"] {
        assert!(!log.contains(&format!(" {library}::")), "{log}");
    }
}

fn wait_for(service: &Service, text: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    while !service.stderr().contains(text) {
        assert!(Instant::now() < end, "{text} is not in {}", service.stderr());
        std::thread::yield_now();
    }
}
