//! The log lines of a request have the trace that the request belongs to, and its response does not.

use serde_json::{Value, json};

use crate::support::{FORM, PASSWORD, Service, TestResponse};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// Logs in with a wrong password.
fn guess(service: &Service, traceparent: &str) -> TestResponse {
    let form = "username=ada@example.com&password=wrong";
    service.connect().exchange(format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\ntraceparent: {traceparent}\r\n\
         content-type: {FORM}\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    ))
}

/// Sends a sign-up with these header lines.
fn sign_up(service: &Service, headers: &str) -> TestResponse {
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call_with("POST", "/users", "", headers, Some(&account)).unwrap()
}

/// Returns the field of the event, or of its span.
fn field<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    event[name].as_str().or_else(|| event["span"][name].as_str())
}

#[test]
fn lines_of_a_request_have_its_trace_and_the_response_has_none() {
    let mut service = Service::start(&[
        ("ACCESS_LOG", "on"),
        ("LOG_FORMAT", "json"),
        ("RATE_LIMITS", "on"),
        ("RATE_LIMIT_LOGIN_IP", "1/1h"),
    ]);
    let traceparent = format!("00-{TRACE_ID}-{SPAN_ID}-01");
    let mut responses = vec![guess(&service, &traceparent).expect(403)];
    responses.push(guess(&service, &traceparent).expect(429));
    let database = service.path().join("data/posts.db");
    std::fs::rename(&database, service.path().join("moved")).unwrap();
    responses.push(sign_up(&service, &format!("traceparent: {traceparent}\r\n")).expect(503));
    // Malformed, repeated and missing.
    sign_up(&service, &format!("traceparent: 00-{TRACE_ID}-{SPAN_ID}-0\r\n")).expect(503);
    sign_up(&service, &format!("traceparent: {traceparent}\r\n").repeat(2)).expect(503);
    sign_up(&service, "tracestate: a=1\r\n").expect(503);
    std::fs::rename(service.path().join("moved"), &database).unwrap();
    service.terminate();
    service.wait();
    for response in responses {
        assert!(!format!("{response:?}").contains(TRACE_ID), "{response:?}");
        assert!(!response.headers.contains_key("traceparent"), "{response:?}");
    }
    let log = service.final_stderr();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_traced = |event: &Value| {
        field(event, "trace_id") == Some(TRACE_ID) && field(event, "span_id") == Some(SPAN_ID)
    };
    // Returns the number of traced lines of a kind, and of all.
    let count = |is_of_kind: fn(&Value) -> bool| {
        let of_kind: Vec<_> = events.iter().filter(|event| is_of_kind(event)).collect();
        (of_kind.iter().filter(|event| is_traced(event)).count(), of_kind.len())
    };
    assert_eq!(count(|event| event["target"] == "access"), (3, 6), "{log}");
    assert_eq!(count(|event| event["message"] == "request failed"), (1, 4), "{log}");
    assert_eq!(count(|event| event["message"] == "request rate limited"), (1, 1), "{log}");
    assert_eq!(count(|event| event["target"] == "audit"), (1, 1), "{log}");
}
