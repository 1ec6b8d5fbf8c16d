//! Requests over the limits: heads, bodies, passwords, nesting, counts. The service
//! rejects each or closes its connection, also with many at a time, and never hashes a password.
//!
//! Not here: the exact limits, see `process`.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::MIB;
use super::process_watch::ProcessWatch;
use super::well_behaved::{WellBehavedClient, describe, login_request};
use crate::stress::budget::Budget;
use crate::support::{PASSWORD, Service};

/// A hash takes a gibibyte of memory, which the test would notice.
const COSTLY_HASHES: [(&str, &str); 3] =
    [("ARGON2_MEMORY_KIB", "1048576"), ("ARGON2_ITERATIONS", "1"), ("ARGON2_PARALLELISM", "1")];

const HASH_MEMORY: u64 = 1024 * MIB;

const CLIENTS: [usize; 2] = [4, 24];

/// Stands for a connection that closed without a response. A client that still writes may miss it.
const CLOSED: u16 = 0;

const TEN_MEGABYTES: usize = 10_000_000;

/// Bytes of a body below the limit of 2 MiB.
const BELOW_BODY_LIMIT: usize = 1_900_000;

struct Case {
    name: &'static str,
    request: String,
    outcomes: &'static [u16],
}

impl Case {
    fn new(name: &'static str, outcomes: &'static [u16], request: String) -> Self {
        Self { name, request, outcomes }
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
}

fn json(path: &str, body: &str) -> String {
    announced(path, "application/json", body)
}

fn form(body: &str) -> String {
    announced("/login", "application/x-www-form-urlencoded", body)
}

fn announced(path: &str, media: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {media}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn chunked(path: &str, media: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {media}\r\n\
         transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    )
}

fn heads(token: &str) -> Vec<Case> {
    let rejected: &[u16] = &[431, CLOSED];
    let authorization = format!("authorization: Bearer {token}\r\n");
    vec![
        Case::new(
            "a long field",
            rejected,
            get("/livez", &format!("a: {}\r\n", "b".repeat(70_000))),
        ),
        Case::new(
            "a long name",
            rejected,
            get("/livez", &format!("{}: b\r\n", "a".repeat(70_000))),
        ),
        Case::new("101 fields", rejected, get("/livez", &"a: b\r\n".repeat(100))),
        Case::new("10,000 fields", rejected, get("/livez", &"a: b\r\n".repeat(10_000))),
        Case::new("a head of a megabyte", rejected, get("/livez", &"a: b\r\n".repeat(170_000))),
        Case::new("a path below the limit", &[404], get(&format!("/{}", "a/".repeat(7_500)), "")),
        Case::new(
            "a path over the limit",
            &[414, 431, CLOSED],
            get(&format!("/{}", "a".repeat(70_000)), ""),
        ),
        Case::new(
            "7,000 parameters",
            &[200],
            get(&format!("/posts?{}limit=1", "a&".repeat(7_000)), &authorization),
        ),
        Case::new(
            "a search of 15,000 characters",
            &[200, 422],
            get(&format!("/posts?search={}", "%".repeat(15_000)), &authorization),
        ),
    ]
}

fn passwords() -> Vec<Case> {
    let rejected: &[u16] = &[413, CLOSED];
    let in_form = |length| format!("username=client@example.com&password={}", "x".repeat(length));
    let in_json =
        |length| format!(r#"{{"email": "new@example.com", "password": "{}"}}"#, "x".repeat(length));
    let media = "application/x-www-form-urlencoded";
    vec![
        Case::new("10 MB in a form", rejected, form(&in_form(TEN_MEGABYTES))),
        Case::new(
            "10 MB in a chunked form",
            rejected,
            chunked("/login", media, &in_form(TEN_MEGABYTES)),
        ),
        Case::new("10 MB in JSON", rejected, json("/users", &in_json(TEN_MEGABYTES))),
        Case::new(
            "10 MB in chunked JSON",
            rejected,
            chunked("/users", "application/json", &in_json(TEN_MEGABYTES)),
        ),
        Case::new("1.9 MB in a form", &[403], form(&in_form(BELOW_BODY_LIMIT))),
        Case::new("1.9 MB in JSON", &[422], json("/users", &in_json(BELOW_BODY_LIMIT))),
    ]
}

fn bodies() -> Vec<Case> {
    let rejected: &[u16] = &[400, 422];
    let fields = "a=b&".repeat(BELOW_BODY_LIMIT / 4);
    let names: Vec<_> =
        (0..BELOW_BODY_LIMIT / 14).map(|number| format!(r#""{number:08}":0,"#)).collect();
    let names = names.concat();
    let part = "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n\r\n";
    let parts = format!("{}--b--\r\n", part.repeat(BELOW_BODY_LIMIT / part.len()));
    vec![
        Case::new("deep arrays", rejected, json("/users", &"[".repeat(BELOW_BODY_LIMIT))),
        Case::new(
            "deep objects",
            rejected,
            json("/users", &r#"{"a":"#.repeat(BELOW_BODY_LIMIT / 5)),
        ),
        Case::new(
            "a wide array",
            rejected,
            json("/users", &format!("[{}0]", "0,".repeat(BELOW_BODY_LIMIT / 2))),
        ),
        Case::new("many names", rejected, json("/users", &format!(r#"{{{names}"a":0}}"#))),
        Case::new("a long number", rejected, json("/users", &"9".repeat(BELOW_BODY_LIMIT))),
        Case::new("many fields of a form", rejected, form(&fields)),
        Case::new(
            "many parts of a form",
            rejected,
            announced("/login", "multipart/form-data; boundary=b", &parts),
        ),
    ]
}

/// Sends each case on its own connection, starting with the case `first`.
fn send_cases(service: &Service, cases: &[Case], first: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..cases.len() {
        let case = &cases[(first + number) % cases.len()];
        let start = Instant::now();
        let mut wire = service.connect();
        // The service may close the connection before it has read everything.
        let _ = wire.try_send(&case.request);
        let outcome = wire.try_read_response().map_or(CLOSED, |response| response.status.as_u16());
        times.push(start.elapsed());
        assert!(case.outcomes.contains(&outcome), "{}: {outcome}", case.name);
    }
    times
}

/// Creates the account with cheap hashes, then restarts with costly ones.
fn start_with_costly_hashes(folder: &TempDir) -> (Service, WellBehavedClient) {
    let mut cheap = Service::start_in(folder.path(), &[]);
    let mut client = WellBehavedClient::sign_up(&cheap, "client");
    cheap.kill();
    let service = Service::start_in(folder.path(), &COSTLY_HASHES);
    client.switch_to(&service);
    (service, client)
}

#[test]
fn requests_over_the_limits_are_rejected_without_a_hash() {
    let mut budget = Budget::new("over the limits", 1);
    let clients = budget.size(CLIENTS[0], CLIENTS[1]);
    let folder = TempDir::new().unwrap();
    let (service, mut client) = start_with_costly_hashes(&folder);
    let mut cases = heads(&client.token);
    cases.extend(passwords());
    cases.extend(bodies());
    let watch = ProcessWatch::start(&service);
    let mut times = Vec::new();
    while budget.next_round().is_some() {
        let (service, cases) = (&service, &cases);
        client.run_during(|_| {
            std::thread::scope(|scope| {
                let running: Vec<_> = (0..clients)
                    .map(|first| scope.spawn(move || send_cases(service, cases, first)))
                    .collect();
                times.extend(running.into_iter().flat_map(|client| client.join().unwrap()));
            });
        });
        watch.wait_until_connections_are_closed();
        watch.assert_growth_below(HASH_MEMORY * 3 / 4, &budget.name_round());
    }
    budget.report("kinds", cases.len());
    budget.report("concurrent clients", clients);
    budget.report("responses", describe(&times));
    budget.report("responses to others meanwhile", client.describe());
    budget.report("MiB", watch.describe());
    // Hashing a password shows in the memory, so the check above would have failed.
    service.connect().exchange(login_request("unknown", PASSWORD)).expect(403);
    assert!(watch.growth() > HASH_MEMORY, "a hash does not show in the memory");
}
