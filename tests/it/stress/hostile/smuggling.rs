//! Request smuggling: requests that hide others, sent directly and through nginx. The service
//! must not read two requests where nginx reads one. The next client on the same connection must
//! get the response to its own request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::nginx::{Buffering, ForwardedRequest, Nginx};
use super::process_watch::ProcessWatch;
use super::well_behaved::WellBehavedClient;
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{AMBIGUOUS_FRAMING, INVALID_CHUNKS, LENGTH_AND_ENCODING, Service};

const IN_CHUNKS: &str = "transfer-encoding: chunked\r\n\r\n";

/// Spellings of an encoding, of chunks and of lines that only some parsers accept. None of them
/// allows a second request to follow.
const INVALID_SPELLINGS: [&str; 22] = [
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\u{c}\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \u{a0}chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunk\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding\u{0}: chunked\r\n\r\n0\r\n\r\n",
    "content-length: 0\r\ntransfer-encoding:\r\n chunked\r\n\r\n",
    "content-length: 3\r\ntransfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    "content-length: 5\r\ncontent-length: 0\r\n\r\n12345",
    "content-length: 0\r\ncontent-length: 5\r\n\r\n",
    "content-length: 1_0\r\n\r\n12345",
    "content-length: 5e0\r\n\r\n12345",
    "transfer-encoding: chunked\r\n\r\n5\r12345\r0\r\r\n",
    "transfer-encoding: chunked\r\n\r\n0;\n\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n10000000000000000\r\n",
    "transfer-encoding: chunked\r\n\r\n80000000000000000000000000000000\r\n",
    "transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nx: y",
    "transfer-encoding: chunked\r\n\r\n5\r\n123450\r\n\r\n",
];

/// Valid but unusual framings. A second request follows, or seems to follow for a parser that
/// accepts a line feed as the end of a line.
const VALID_FRAMINGS: [&str; 11] = [
    "content-length: 5\r\n\r\n12345",
    "content-length: 00005\r\n\r\n12345",
    "content-length: 5, 5\r\n\r\n12345",
    "Transfer-Encoding: ChUnKeD\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
    "transfer-encoding:\tchunked\t\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\n12345\r\n0;e\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n00000000000000005\r\n12345\r\n000\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\ncontent-length: 64\r\nx: y\r\n\r\n",
    "transfer_encoding: chunked\r\ncontent-length: 0\r\n\r\n",
    "x: y\ncontent-length: 5\n\n12345",
    "transfer-encoding: chunked\n\n5\n12345\n0\n\n",
];

/// Bodies that contain a whole request, on routes that reject them unread. The length is filled in.
const UNREAD_BODIES: [&str; 3] = [
    "content-length: LENGTH\r\n\r\n",
    "expect: 100-continue\r\ncontent-length: LENGTH\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\nHEXADECIMAL\r\n",
];

/// Ends a chunked body, and starts no request.
const END_OF_CHUNKS: &str = "\r\n0\r\n\r\n";

/// A last request, so that the service closes the connection.
const LAST: &str = "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// The request that an attacker sends before the hidden one.
struct Case {
    line: &'static str,
    framing: String,
    /// Whether a second request may follow, instead of being part of the body.
    is_followed: bool,
}

fn cases() -> Vec<Case> {
    let login = "POST /login";
    let case_with =
        |framing: &str, is_followed| Case { line: login, framing: framing.into(), is_followed };
    let mut cases: Vec<Case> =
        AMBIGUOUS_FRAMING.iter().map(|framing| case_with(framing, false)).collect();
    cases.extend(LENGTH_AND_ENCODING.iter().map(|framing| case_with(framing, false)));
    cases.extend(
        INVALID_CHUNKS.iter().map(|chunk| case_with(&format!("{IN_CHUNKS}{chunk}"), false)),
    );
    cases.extend(INVALID_SPELLINGS.iter().map(|framing| case_with(framing, false)));
    cases.extend(VALID_FRAMINGS.iter().map(|framing| case_with(framing, true)));
    for line in ["POST /posts", "GET /livez", "POST /livez", "PUT /nowhere", "DELETE /users/me"] {
        let unread = UNREAD_BODIES.iter();
        cases.extend(unread.map(|framing| Case {
            line,
            framing: (*framing).into(),
            is_followed: false,
        }));
    }
    cases
}

/// A post that no hidden request may change, and the token of its owner.
struct ProtectedPost {
    path: String,
    token: String,
}

impl ProtectedPost {
    fn publish(service: &Service, token: &str, title: &str) -> Self {
        let post = json!({"title": title, "content": "as it was"});
        let post =
            service.connect().call("POST", "/posts", token, Some(&post)).unwrap().expect(201);
        Self { path: format!("/posts/{}", post.json()["id"]), token: token.to_owned() }
    }

    /// Returns a complete request that changes the post.
    fn change(&self, id: &str) -> String {
        let body = r#"{"title": "taken over", "content": "by a hidden request"}"#;
        let (path, token, length) = (&self.path, &self.token, body.len());
        format!(
            "PUT {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    }

    /// Returns the start of a request that would take the next client's first line as a header
    /// field.
    fn poison(&self, id: &str) -> String {
        let (path, token) = (&self.path, &self.token);
        format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\
             authorization: Bearer {token}\r\nx: "
        )
    }

    fn title(&self, service: &Service) -> Value {
        let response = service.connect().call("GET", &self.path, &self.token, None);
        response.unwrap().expect(200).json()["Post"]["title"].clone()
    }
}

fn attack(case: &Case, id: &str, hidden: &str) -> String {
    let length = hidden.len();
    let framing = case
        .framing
        .replace("LENGTH", &length.to_string())
        .replace("HEXADECIMAL", &format!("{length:x}"));
    let line = case.line;
    let end = if case.framing.contains("HEXADECIMAL") { END_OF_CHUNKS } else { "" };
    format!("{line} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n{framing}{hidden}{end}")
}

/// Returns the requests in the access log of the service.
fn logged_requests(service: &Service) -> Vec<ForwardedRequest> {
    let response = service.stderr();
    let events = response.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    events
        .filter(|event| event["target"] == "access")
        .map(|event| (text(&event, "request"), text(&event, "method"), text(&event, "path")))
        .collect()
}

#[track_caller]
fn wait_until_logged(service: &Service, id: &str) {
    for _ in 0..3000 {
        if service.stderr().contains(id) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the service did not log {id}");
}

fn start() -> Service {
    Service::start(&[("ACCESS_LOG", "on"), ("LOG_FORMAT", "json")])
}

#[test]
fn hidden_request_is_not_executed_by_the_service() {
    let service = start();
    let attacker = WellBehavedClient::sign_up(&service, "attacker");
    let target = ProtectedPost::publish(&service, &attacker.token, "as it was");
    let mut done = 0;
    for (number, case) in cases().iter().enumerate() {
        let mut wire = service.connect();
        let hidden = target.change(&format!("hidden-{number}"));
        // The service may close the connection before it has read everything.
        let _ = wire.try_send(attack(case, &format!("attack-{number}"), &hidden) + LAST);
        let response = wire.rest();
        let is_changed = target.title(&service) != "as it was";
        assert!(case.is_followed || !is_changed, "{} {:?}: {response}", case.line, case.framing);
        if is_changed {
            let post = json!({"title": "as it was", "content": "as it was"});
            let mut wire = service.connect();
            wire.call("PUT", &target.path, &target.token, Some(&post)).unwrap().expect(200);
            done += 1;
        }
    }
    assert!(done > 3, "a valid second request was not executed, so the test proves nothing");
}

/// Sends attacks through nginx, each followed by an innocent request.
struct ThroughNginx<'a> {
    service: &'a Service,
    nginx: Nginx,
    watch: ProcessWatch,
    target: ProtectedPost,
    innocent: ProtectedPost,
    attempts: usize,
    on_reused_connection: usize,
}

impl ThroughNginx<'_> {
    fn attempt(&mut self, buffering: Buffering, case: &Case, is_poison: bool) {
        let number = self.attempts;
        self.attempts += 1;
        let hidden_id = format!("hidden-{number}-");
        let hidden =
            if is_poison { self.target.poison(&hidden_id) } else { self.target.change(&hidden_id) };
        self.nginx
            .exchange(buffering, attack(case, &format!("attack-{number}-"), &hidden).as_bytes());
        let before = self.watch.open_connections();
        let id = format!("innocent-{number}-");
        let response = self.nginx.exchange(buffering, self.innocent_request(&id).as_bytes());
        let context = format!("{buffering:?} {} {:?}: {response}", case.line, case.framing);
        assert!(response.starts_with("HTTP/1.1 200 "), "{context}");
        assert!(response.contains(&format!("x-request-id: {id}\r\n")), "{context}");
        assert_eq!(response.matches("the innocent's own").count(), 1, "{context}");
        let after = self.watch.open_connections();
        assert!(after.len() <= 1, "nginx keeps {} connections", after.len());
        self.on_reused_connection += usize::from(!before.is_empty() && before == after);
    }

    fn innocent_request(&self, id: &str) -> String {
        let (path, token) = (&self.innocent.path, &self.innocent.token);
        format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        )
    }

    /// Checks that nginx forwarded exactly the requests that the service logged. nginx logs after
    /// the response, so the last entry may be late.
    fn assert_same_requests(&self) {
        let last = format!("innocent-{}-", self.attempts - 1);
        wait_until_logged(self.service, &last);
        for _ in 0..500 {
            if self.difference().is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.difference(), None);
    }

    /// Returns a request that one of the two logged more often than the other.
    fn difference(&self) -> Option<String> {
        let mut forwarded: BTreeMap<ForwardedRequest, usize> = BTreeMap::new();
        for request in self.nginx.forwarded() {
            *forwarded.entry(request).or_default() += 1;
        }
        let is_ours = |id: &str| id.ends_with('-');
        for request in logged_requests(self.service).into_iter().filter(|(id, _, _)| is_ours(id)) {
            let Some(left) = forwarded.get_mut(&request).filter(|left| **left > 0) else {
                return Some(format!("nginx did not forward {request:?}"));
            };
            *left -= 1;
        }
        forwarded.retain(|_, left| *left > 0);
        let innocent = forwarded.keys().find(|(id, _, _)| id.starts_with("innocent-"))?;
        Some(format!("the service did not log what nginx forwarded: {innocent:?}"))
    }
}

#[test]
fn hidden_request_is_not_smuggled_through_nginx() {
    let mut budget = Budget::new("smuggling", 1);
    let service = start();
    let attacker = WellBehavedClient::sign_up(&service, "attacker");
    let innocent = WellBehavedClient::sign_up(&service, "innocent");
    let mut cases = cases();
    let mut nginx_test = ThroughNginx {
        service: &service,
        target: ProtectedPost::publish(&service, &attacker.token, "as it was"),
        innocent: ProtectedPost::publish(&service, &innocent.token, "the innocent's own"),
        watch: ProcessWatch::start(&service),
        nginx: Nginx::start(&service),
        attempts: 0,
        on_reused_connection: 0,
    };
    while let Some(seed) = budget.next_round() {
        Rng::new(seed).shuffle(&mut cases);
        for case in &cases {
            for buffering in [Buffering::Buffered, Buffering::Streamed] {
                nginx_test.attempt(buffering, case, false);
                nginx_test.attempt(buffering, case, true);
            }
        }
        nginx_test.assert_same_requests();
    }
    assert!(
        nginx_test.on_reused_connection > 0,
        "no innocent request used the connection of an attack"
    );
    budget.report("framings", cases.len());
    budget.report("attempts", nginx_test.attempts);
    budget.report("of these on a kept connection", nginx_test.on_reused_connection);
}
