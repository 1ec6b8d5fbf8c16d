//! Shutdown: the service finishes requests in flight, accepts no new ones, and closes idle
//! connections.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use post_api::server::{Limits, with_middleware};
use serde_json::json;

use crate::support::{
    METRICS, Metrics, PASSWORD, Service, TestServer, Wire, limits, middleware_config,
};

/// Starts a sign-up, and returns the rest of its body. The request is in flight, because the
/// service has answered `100 Continue`.
fn begin_sign_up(service: &Service) -> (Wire, String) {
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let mut wire = service.connect();
    let interim = wire.exchange(format!(
        "POST /users HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(interim.status, 100);
    let (first, second) = body.split_at(10);
    wire.send(first);
    (wire, second.to_owned())
}

/// Waits until the service accepts no more connections.
fn wait_until_refused(service: &Service) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match Wire::try_connect(service.address()) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => assert!(Instant::now() < end, "the service still accepts connections"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn shutdown_finishes_requests_in_flight_and_accepts_no_new_ones() {
    let mut service = Service::start(&[]);
    let (mut wire, rest) = begin_sign_up(&service);
    service.terminate();
    wait_until_refused(&service);
    wire.send(rest);
    let response = wire.read_response().expect(201);
    assert_eq!(response.header("connection"), "close");
    assert_eq!(wire.rest(), "");
    assert_eq!(service.wait().code(), Some(0));
    assert!(service.final_stderr().contains("ended"));
}

#[test]
fn metrics_are_served_until_the_last_request_has_ended() {
    let mut service = Service::start(&[METRICS]);
    let (mut wire, rest) = begin_sign_up(&service);
    service.terminate();
    wait_until_refused(&service);
    assert_eq!(Metrics::of(&service).value("http_server_active_requests"), 1);
    // An open connection of the monitoring system does not delay the end.
    let _silent = Metrics::connect(&service);
    wire.send(rest);
    wire.read_response().expect(201);
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn idle_connections_do_not_delay_shutdown() {
    const FOREVER: Duration = Duration::from_hours(1);
    let limits = Limits { drain_timeout: FOREVER, ..limits(|timeouts| timeouts.head = FOREVER) };
    let routes = Router::new().route("/", get(async || "here"));
    let server = TestServer::start(with_middleware(routes, middleware_config()), limits);
    let mut used = server.connect();
    assert_eq!(used.call("GET", "/", "", None).unwrap().text(), "here");
    let mut silent = server.connect();
    // The service accepts connections in order. A response to a later one shows that it has
    // accepted `silent`.
    assert_eq!(server.connect().call("GET", "/", "", None).unwrap().text(), "here");

    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        server.end();
        ended.send(())
    });
    end.recv_timeout(Duration::from_mins(1)).expect("shutdown waits for idle connections");
    for wire in [&mut used, &mut silent] {
        assert_eq!(wire.rest(), "");
    }
}

/// The client could not know of the shutdown, and its request may be on its way.
#[test]
fn new_connection_gets_a_response_although_the_service_shuts_down() {
    const LONG: Duration = Duration::from_hours(1);
    let limits = limits(|timeouts| {
        (timeouts.head, timeouts.first_head_at_shutdown) = (LONG, LONG);
    });
    let routes = Router::new().route("/", get(async || "here"));
    let server = TestServer::start(with_middleware(routes, middleware_config()), limits);
    let [mut silent, mut partial, mut used] = [(); 3].map(|()| server.connect());
    partial.send("GET / HTTP/1.1\r\n");
    assert_eq!(used.call("GET", "/", "", None).unwrap().text(), "here");
    let server = std::thread::spawn(move || server.end());
    // The shutdown closes the idle connection.
    assert_eq!(used.rest(), "");
    partial.send("host: localhost\r\n\r\n");
    silent.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    for wire in [&mut silent, &mut partial] {
        // A connection may read the request before it learns of the shutdown, and then it only closes.
        assert_eq!(wire.read_response().expect(200).text(), "here");
        assert_eq!(wire.rest(), "");
    }
    // The only connections have ended, so the shutdown waits no longer.
    server.join().unwrap();
}

#[test]
fn second_signal_stops_the_process_at_once() {
    let mut service = Service::start(&[]);
    let (mut wire, _) = begin_sign_up(&service);
    service.terminate();
    wait_until_refused(&service);
    service.terminate();
    let status = service.wait();
    assert!(status.code() == Some(1) || status.signal().is_some(), "{status}");
    assert_eq!(wire.rest(), "", "the service answered the request");
}

#[test]
fn readiness_fails_first_and_connections_are_accepted_during_the_delay() {
    let mut service = Service::start(&[("SHUTDOWN_DELAY_SECONDS", "3600")]);
    assert_eq!(service.get("/readyz").status, 200);
    service.terminate();
    let end = Instant::now() + Duration::from_mins(1);
    while service.get("/readyz").status == 200 {
        assert!(Instant::now() < end, "the service stays ready");
    }
    let response = service.get("/readyz").expect(503);
    assert_eq!(response.json()["detail"], "not ready: the service is shutting down");
    assert!(!response.header("retry-after").is_empty());
    let (mut wire, rest) = begin_sign_up(&service);
    wire.send(rest);
    wire.read_response().expect(201);
    service.terminate();
    assert_eq!(service.wait().code(), Some(1), "a second signal ends the process at once");
}

#[test]
fn service_stops_by_itself_after_the_delay() {
    let mut service = Service::start(&[("SHUTDOWN_DELAY_SECONDS", "1")]);
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    assert!(service.final_stderr().contains("ended"));
}

/// By default each of these signals except SIGPIPE would end the process without closing the store.
#[test]
fn signals_without_a_meaning_are_logged_and_ignored() {
    let mut service = Service::start(&[]);
    for signal in ["HUP", "USR1", "USR2", "ALRM", "IO"] {
        service.signal(&format!("-{signal}"));
        let line = format!("signal ignored signal=\"SIG{signal}\"");
        let end = Instant::now() + Duration::from_mins(1);
        while !service.stderr().contains(&line) {
            assert!(Instant::now() < end, "{line} is not in {}", service.stderr());
            std::thread::yield_now();
        }
    }
    service.signal("-PIPE");
    assert_eq!(service.get("/livez").status, 200);
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    assert!(service.final_stderr().contains("ended"));
}
