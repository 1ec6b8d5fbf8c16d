//! Two processes on one database: a token that one of them revokes is revoked for both, and a write
//! that clients send to both with one key happens once.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Cluster, PASSWORD, Service, TestResponse};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// Number of tokens to revoke. The processes take turns.
const ROUNDS: usize = 20;

/// Responses that each reader must get for a token, before and after its revocation.
const MIN_RESPONSES: usize = 5;

/// The token that all readers use, and the responses that they get.
#[derive(Default)]
struct SharedToken {
    token: RwLock<String>,
    /// Whether the revocation was acknowledged.
    is_revoked: AtomicBool,
    accepted: [AtomicUsize; 2],
    refused: [AtomicUsize; 2],
    is_over: AtomicBool,
}

impl SharedToken {
    fn read_repeatedly(&self, number: usize, service: &Service) {
        let mut wire = service.connect();
        while !self.is_over.load(Ordering::SeqCst) {
            // The lock keeps the token from being replaced while a request with it is in flight.
            let token = self.token.read().unwrap();
            let is_revoked = self.is_revoked.load(Ordering::SeqCst);
            let response = wire.call("GET", "/posts?limit=1", &token, None).unwrap();
            let counts = match response.status.as_u16() {
                200 => &self.accepted,
                401 => &self.refused,
                other => panic!("{other}"),
            };
            assert!(
                !is_revoked || response.status == 401,
                "a process accepted the token after its revocation"
            );
            counts[number].fetch_add(1, Ordering::SeqCst);
        }
    }

    fn replace(&self, token: String) {
        let mut shared = self.token.write().unwrap();
        *shared = token;
        self.is_revoked.store(false, Ordering::SeqCst);
        for count in self.accepted.iter().chain(&self.refused) {
            count.store(0, Ordering::SeqCst);
        }
    }

    fn wait_for(counts: &[AtomicUsize; 2]) {
        let end = Instant::now() + Duration::from_mins(1);
        while counts.iter().any(|count| count.load(Ordering::SeqCst) < MIN_RESPONSES) {
            assert!(Instant::now() < end, "a reader stopped, or got other responses");
            std::thread::yield_now();
        }
    }
}

/// Stops the readers, also if the test fails.
struct StopReaders<'a>(&'a SharedToken);

impl Drop for StopReaders<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

#[test]
fn token_revoked_by_one_process_is_rejected_by_all() {
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let services = [(); 2].map(|()| Service::start_in(folder.path(), &settings));
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    services[0].connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let shared = SharedToken::default();
    shared.replace(services[0].log_in("ada@example.com"));
    std::thread::scope(|scope| {
        let _end = StopReaders(&shared);
        for (number, service) in services.iter().enumerate() {
            let shared = &shared;
            scope.spawn(move || shared.read_repeatedly(number, service));
        }
        for round in 0..ROUNDS {
            let [one, other] = [&services[round % 2], &services[(round + 1) % 2]];
            let token = one.log_in("ada@example.com");
            shared.replace(token.clone());
            SharedToken::wait_for(&shared.accepted);
            other.connect().call("POST", "/logout", &token, None).unwrap().expect(204);
            shared.is_revoked.store(true, Ordering::SeqCst);
            SharedToken::wait_for(&shared.refused);
        }
    });
}

#[test]
fn write_with_one_key_at_two_processes_happens_once() {
    const CLIENTS: usize = 64;
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let services = [(); 2].map(|()| Service::start_in(folder.path(), &settings));
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    services[0].connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = services[0].log_in("ada@example.com");
    let wires = (0..CLIENTS).map(|number| services[number % 2].connect());
    let mut wires: Vec<_> = wires.collect();
    for round in 0..5 {
        let key = format!("idempotency-key: round-{round}\r\n");
        let post = json!({"title": format!("round {round}"), "content": "text"});
        let responses: Vec<_> = std::thread::scope(|scope| {
            let clients = wires.iter_mut().map(|wire| {
                let (key, post, token) = (&key, &post, &token);
                scope.spawn(move || wire.call_with("POST", "/posts", token, key, Some(post)))
            });
            let clients: Vec<_> = clients.collect();
            clients.into_iter().map(|client| client.join().unwrap().unwrap().expect(201)).collect()
        });
        assert!(responses.iter().all(|response| response.body == responses[0].body));
        let is_replay = |response: &&TestResponse| response.header("idempotent-replayed") == "true";
        assert_eq!(responses.iter().filter(is_replay).count(), CLIENTS - 1);
    }
    assert_eq!(database.query("SELECT count(*) FROM posts"), ["5"]);
}
