//! Two processes that serve one database: what one of them has ended, the other accepts no more.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Cluster, PASSWORD, Service};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// Tokens that are ended, by each process in turn.
const ROUNDS: usize = 20;

/// Answers that each reader must have had to a token before it is ended, and after.
const ENOUGH: usize = 5;

/// What readers carry, and what has become of it.
#[derive(Default)]
struct Carried {
    token: RwLock<String>,
    /// Whether that was acknowledged.
    has_ended: AtomicBool,
    accepted: [AtomicUsize; 2],
    refused: [AtomicUsize; 2],
    is_over: AtomicBool,
}

impl Carried {
    fn read_on(&self, number: usize, service: &Service) {
        let mut wire = service.connect();
        while !self.is_over.load(Ordering::SeqCst) {
            // Nobody puts another token there while a request with this one is on its way.
            let token = self.token.read().unwrap();
            let has_ended = self.has_ended.load(Ordering::SeqCst);
            let answer = wire.call("GET", "/posts?limit=1", &token, None).unwrap();
            let counts = match answer.status.as_u16() {
                200 => &self.accepted,
                401 => &self.refused,
                other => panic!("{other}"),
            };
            assert!(!has_ended || answer.status == 401, "it was accepted after it had ended");
            counts[number].fetch_add(1, Ordering::SeqCst);
        }
    }

    fn carry(&self, token: String) {
        let mut carried = self.token.write().unwrap();
        *carried = token;
        self.has_ended.store(false, Ordering::SeqCst);
        for count in self.accepted.iter().chain(&self.refused) {
            count.store(0, Ordering::SeqCst);
        }
    }

    fn wait_for(counts: &[AtomicUsize; 2]) {
        let end = Instant::now() + Duration::from_mins(1);
        while counts.iter().any(|count| count.load(Ordering::SeqCst) < ENOUGH) {
            assert!(Instant::now() < end, "a reader is gone, or is answered otherwise");
            std::thread::yield_now();
        }
    }
}

/// Ends the readers, however the test does.
struct End<'a>(&'a Carried);

impl Drop for End<'_> {
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
    let carried = Carried::default();
    carried.carry(services[0].log_in("ada@example.com"));
    std::thread::scope(|scope| {
        let _end = End(&carried);
        for (number, service) in services.iter().enumerate() {
            let carried = &carried;
            scope.spawn(move || carried.read_on(number, service));
        }
        for round in 0..ROUNDS {
            let [one, other] = [&services[round % 2], &services[(round + 1) % 2]];
            let token = one.log_in("ada@example.com");
            carried.carry(token.clone());
            Carried::wait_for(&carried.accepted);
            other.connect().call("POST", "/logout", &token, None).unwrap().expect(204);
            carried.has_ended.store(true, Ordering::SeqCst);
            Carried::wait_for(&carried.refused);
        }
    });
}
