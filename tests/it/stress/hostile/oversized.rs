//! Requests beyond what is taken: heads, bodies, passwords, nesting, numbers of everything. Each is
//! refused or cut off, many at a time, and none of them brings the service to hash.
//!
//! The bounds themselves, to the byte, are shown in `process`.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::MIB;
use super::process_watch::ProcessWatch;
use super::well_behaved::{WellBehavedClient, describe, login_request};
use crate::stress::budget::Budget;
use crate::support::{PASSWORD, Service};

/// Whoever hashes takes a gibibyte, which cannot be overlooked.
const COSTLY_HASHES: [(&str, &str); 3] =
    [("ARGON2_MEMORY_KIB", "1048576"), ("ARGON2_ITERATIONS", "1"), ("ARGON2_PARALLELISM", "1")];

const HASH_MEMORY: u64 = 1024 * MIB;

const CLIENTS: [usize; 2] = [4, 24];

/// The connection ended without an answer, which a client that still writes may have missed.
const CUT_OFF: u16 = 0;

const TEN_MEGABYTES: usize = 10_000_000;

/// Below the bound for bodies, 2 MiB.
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
    let refused: &[u16] = &[431, CUT_OFF];
    let authorization = format!("authorization: Bearer {token}\r\n");
    vec![
        Case::new(
            "a long field",
            refused,
            get("/livez", &format!("a: {}\r\n", "b".repeat(70_000))),
        ),
        Case::new("a long name", refused, get("/livez", &format!("{}: b\r\n", "a".repeat(70_000)))),
        Case::new("101 fields", refused, get("/livez", &"a: b\r\n".repeat(100))),
        Case::new("10,000 fields", refused, get("/livez", &"a: b\r\n".repeat(10_000))),
        Case::new("a head of a megabyte", refused, get("/livez", &"a: b\r\n".repeat(170_000))),
        Case::new("a path below the bound", &[404], get(&format!("/{}", "a/".repeat(30_000)), "")),
        Case::new(
            "a path beyond it",
            &[414, 431, CUT_OFF],
            get(&format!("/{}", "a".repeat(70_000)), ""),
        ),
        Case::new(
            "30,000 parameters",
            &[200],
            get(&format!("/posts?{}limit=1", "a&".repeat(30_000)), &authorization),
        ),
        Case::new(
            "a search of 60,000 characters",
            &[200, 422],
            get(&format!("/posts?search={}", "%".repeat(60_000)), &authorization),
        ),
    ]
}

fn passwords() -> Vec<Case> {
    let refused: &[u16] = &[413, CUT_OFF];
    let in_form = |length| format!("username=client@example.com&password={}", "x".repeat(length));
    let in_json =
        |length| format!(r#"{{"email": "new@example.com", "password": "{}"}}"#, "x".repeat(length));
    let media = "application/x-www-form-urlencoded";
    vec![
        Case::new("10 MB in a form", refused, form(&in_form(TEN_MEGABYTES))),
        Case::new("in chunks", refused, chunked("/login", media, &in_form(TEN_MEGABYTES))),
        Case::new("10 MB in JSON", refused, json("/users", &in_json(TEN_MEGABYTES))),
        Case::new(
            "in chunks of JSON",
            refused,
            chunked("/users", "application/json", &in_json(TEN_MEGABYTES)),
        ),
        Case::new("1.9 MB in a form", &[403], form(&in_form(BELOW_BODY_LIMIT))),
        Case::new("1.9 MB in JSON", &[422], json("/users", &in_json(BELOW_BODY_LIMIT))),
    ]
}

fn bodies() -> Vec<Case> {
    let refused: &[u16] = &[400, 422];
    let fields = "a=b&".repeat(BELOW_BODY_LIMIT / 4);
    let names: Vec<_> =
        (0..BELOW_BODY_LIMIT / 14).map(|number| format!(r#""{number:08}":0,"#)).collect();
    let names = names.concat();
    let part = "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n\r\n";
    let parts = format!("{}--b--\r\n", part.repeat(BELOW_BODY_LIMIT / part.len()));
    vec![
        Case::new("deep arrays", refused, json("/users", &"[".repeat(BELOW_BODY_LIMIT))),
        Case::new(
            "deep objects",
            refused,
            json("/users", &r#"{"a":"#.repeat(BELOW_BODY_LIMIT / 5)),
        ),
        Case::new(
            "a wide array",
            refused,
            json("/users", &format!("[{}0]", "0,".repeat(BELOW_BODY_LIMIT / 2))),
        ),
        Case::new("many names", refused, json("/users", &format!(r#"{{{names}"a":0}}"#))),
        Case::new("a long number", refused, json("/users", &"9".repeat(BELOW_BODY_LIMIT))),
        Case::new("many fields of a form", refused, form(&fields)),
        Case::new(
            "many parts of a form",
            refused,
            announced("/login", "multipart/form-data; boundary=b", &parts),
        ),
    ]
}

/// Each case on a connection of its own, beginning somewhere.
fn send_cases(service: &Service, cases: &[Case], first: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..cases.len() {
        let case = &cases[(first + number) % cases.len()];
        let began = Instant::now();
        let mut wire = service.connect();
        // The service may close before it has read everything.
        let _ = wire.try_send(&case.request);
        let outcome = wire.try_answer().map_or(CUT_OFF, |answer| answer.status.as_u16());
        times.push(began.elapsed());
        assert!(case.outcomes.contains(&outcome), "{}: {outcome}", case.name);
    }
    times
}

/// The account was made when hashes were cheap.
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
    let mut budget = Budget::new("beyond the bounds", 1);
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
    budget.report("at once", clients);
    budget.report("answers", describe(&times));
    budget.report("answers to others meanwhile", client.describe());
    budget.report("MiB", watch.describe());
    // A password that is taken to be hashed shows.
    service.connect().exchange(login_request("nobody", PASSWORD)).expect(403);
    assert!(watch.growth() > HASH_MEMORY, "no hash took its memory");
}
