//! A wall clock that is set forward and back while clients write. No write is lost, new rows have
//! the time of this clock, and durations are not affected.
//!
//! Only the service sees this clock: a preloaded library (Debian's `faketime`) changes the wall
//! clock and leaves the monotonic clock unchanged. PostgreSQL keeps its own clock.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use post_api::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ledger::Ledger;
use super::stored_rows::{SqliteFile, StoredRows};
use super::{KEY, ledgers, reconcile, report, run_round};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, PASSWORD, Service, TestResponse, Wire};

/// The dynamic loader replaces `$LIB` by the library folder of the architecture.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 365 * 24 * HOUR;

/// Offsets of the service's clock, in seconds. The largest is beyond the year 2038.
const OFFSETS: [i64; 10] =
    [0, 1, -1, 5 * 60, HOUR, -HOUR, 12 * HOUR, 10 * YEAR, -10 * YEAR, 20 * YEAR];

/// The lifetime of a token, in seconds.
const TOKEN_LIFETIME: i64 = HOUR / 2;

/// The wall clock of the service.
struct WallClock {
    file: PathBuf,
    offset: i64,
}

impl WallClock {
    fn new(folder: &Path) -> Self {
        let mut clock = Self { file: folder.join("clock"), offset: 0 };
        clock.set(0);
        clock
    }

    fn set(&mut self, offset: i64) {
        self.offset = offset;
        // The service may read the file at any moment, so it is replaced as a whole.
        let draft = self.file.with_extension("new");
        std::fs::write(&draft, format!("{offset:+}\n")).unwrap();
        std::fs::rename(&draft, &self.file).unwrap();
    }

    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.offset)
    }

    fn start(&self, folder: &Path, settings: &[(&str, &str)]) -> Service {
        let mut command = Service::command(folder);
        command
            .args(["serve", "--port", "0"])
            .envs(settings.iter().copied())
            .envs([("ACCESS_LOG", "on"), ("LOG_FORMAT", "json")])
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")])
            .env("NO_FAKE_STAT", "1");
        Service::run(&mut command, folder)
    }
}

/// A client that checks its own rows and tokens at each setting of the clock.
struct Observer<'a> {
    service: &'a Service,
    email: String,
    /// Issued at the start of the round.
    first_token: String,
    /// The offset of the clock at that time.
    signed_up_at: i64,
}

impl<'a> Observer<'a> {
    fn sign_up(service: &'a Service, clock: &WallClock, seed: &str) -> Self {
        let email = format!("newcomer-{:x}@example.com", getrandom::u64().unwrap());
        let account = json!({"email": email, "password": PASSWORD});
        let before = clock.now();
        let created = service.connect().call("POST", "/users", "", Some(&account)).unwrap();
        assert_created_since(before, clock, &created.expect(201).json(), seed);
        let mut observer =
            Self { service, email, first_token: String::new(), signed_up_at: clock.offset };
        observer.first_token = observer.log_in();
        observer
    }

    fn log_in(&self) -> String {
        let form = format!("username={}&password={}", self.email, PASSWORD.replace(' ', "+"));
        let response = self.service.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ));
        response.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> TestResponse {
        self.service.connect().call(method, path, token, body).unwrap()
    }

    /// Sets the clock in the middle of a request, and tries every operation that depends on the
    /// time.
    fn check_at(&self, clock: &mut WallClock, offset: i64, seed: &str) {
        let mut half = self.service.connect();
        half.send("GET /livez HTTP/1.1\r\nhost: a\r\n");
        clock.set(offset);
        assert_eq!(half.exchange("\r\n").status, 200, "{seed}: the request timed out");

        let is_over = offset - self.signed_up_at >= TOKEN_LIFETIME;
        let me = self.call("GET", "/users/me", &self.first_token, None);
        let expected = if is_over { 401 } else { 200 };
        assert_eq!(me.status, expected, "{seed}: {offset} from {}", self.signed_up_at);

        let token = self.log_in();
        let text = json!({"title": "a newcomer's", "content": "text"});
        let before = clock.now();
        let post = self.call("POST", "/posts", &token, Some(&text)).expect(201).json();
        assert_created_since(before, clock, &post, seed);
        let path = format!("/posts/{}", post["id"]);
        let read = self.call("GET", &path, &token, None).expect(200).json();
        assert_eq!(read["Post"], post, "{seed}");
        let other = json!({"title": "changed", "content": "text"});
        let changed = self.call("PUT", &path, &token, Some(&other)).expect(200).json();
        assert_eq!(changed["created_at"], post["created_at"], "{seed}");
        let ballot = json!({"post_id": post["id"], "dir": 1});
        self.call("POST", "/vote", &token, Some(&ballot)).expect(201);
        self.assert_newest_first(&token, seed);
        self.call("DELETE", &path, &token, None).expect(204);
        self.call("GET", &path, &token, None).expect(404);
    }

    /// Checks that newer posts come first, independently of their times.
    fn assert_newest_first(&self, token: &str, seed: &str) {
        let list = self.call("GET", "/posts?limit=50", token, None).expect(200).json();
        let numbers: Vec<i64> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["Post"]["id"].as_i64().unwrap())
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[0] > pair[1]), "{seed}: {numbers:?}");
    }
}

/// Terminates the service when dropped, also if the observer fails, as the clients write until
/// then.
struct TerminateOnDrop<'a>(&'a Service);

impl Drop for TerminateOnDrop<'_> {
    fn drop(&mut self) {
        self.0.terminate();
    }
}

/// Also fails if the library was not loaded into the service.
fn assert_created_since(before: Timestamp, clock: &WallClock, thing: &Value, seed: &str) {
    let created: Timestamp = thing["created_at"].as_str().unwrap().parse().unwrap();
    // The library computes with fractions of a second, which are rounded.
    let tolerance = SignedDuration::from_millis(1);
    assert!(
        before - tolerance <= created && created <= clock.now() + tolerance,
        "{seed}: with the clock at {:+} created_at is {created}, requested at {before}",
        clock.offset
    );
}

/// Checks that the log has no error and no duration that includes a change of the clock.
fn assert_healthy(service: &mut Service, seed: &str) {
    let log = service.final_stderr();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let mut requests = 0;
    for line in lines {
        assert_ne!(line["level"], "ERROR", "{seed}: {line}");
        if line["target"] == "access" {
            requests += 1;
            assert!(line["status"].as_u64().unwrap() < 500, "{seed}: {line}");
            assert!(line["microseconds"].as_u64().unwrap() < 60_000_000, "{seed}: {line}");
        }
    }
    assert!(requests > OFFSETS.len(), "{seed}: {log}");
}

#[test]
fn acknowledged_writes_survive_clock_changes_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("data/posts.db");
    set_the_clock(Budget::new("clock, embedded", 1), &folder, &[], || {
        Box::new(SqliteFile::open(&file))
    });
}

#[test]
fn acknowledged_writes_survive_clock_changes_on_postgresql() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    set_the_clock(Budget::new("clock, PostgreSQL", 1), &folder, &settings, || {
        Box::new(cluster.existing_database(database.name()))
    });
}

/// Each round starts at the right time. Afterwards a service that starts at a wrong time reads the
/// database.
fn set_the_clock<'a>(
    mut budget: Budget,
    folder: &TempDir,
    settings: &[(&str, &str)],
    stored: impl Fn() -> Box<dyn StoredRows + 'a>,
) {
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(8, &mut rng);
    let mut clock = WallClock::new(folder.path());
    let mut clock_changes = 0;
    while budget.next_round().is_some() {
        let seed = budget.name_round();
        clock.set(0);
        ledgers.iter_mut().for_each(Ledger::drop_token);
        let mut service = clock.start(folder.path(), settings);
        let address = service.address().to_owned();
        let observer = Observer::sign_up(&service, &clock, &seed);
        run_round(&address, &mut ledgers, 16 + rng.below(100), || {
            let _end = TerminateOnDrop(&service);
            for offset in shuffled(&mut rng) {
                observer.check_at(&mut clock, offset, &seed);
                clock_changes += 1;
            }
        });
        assert!(service.wait().success(), "{seed}: {}", service.final_stderr());
        assert_healthy(&mut service, &seed);
        let mut service = clock.start(folder.path(), settings);
        reconcile(&mut ledgers, stored().as_ref(), &service, &seed);
        service.terminate();
        assert!(service.wait().success(), "{seed}");
    }
    budget.report("times the clock was set", clock_changes);
    let renewals: usize = ledgers.iter().map(Ledger::renewals).sum();
    assert!(renewals > 0, "no token of a client has expired");
    budget.report("tokens expired by the clock and renewed", renewals);
    report(&budget, &ledgers);
}

/// Returns every offset once, and 1970, the time of a machine with an empty battery.
fn shuffled(rng: &mut Rng) -> Vec<i64> {
    let mut offsets = OFFSETS.to_vec();
    offsets.push(-SystemClock.now().as_second() + 60);
    rng.shuffle(&mut offsets);
    offsets
}

/// The timeout of a request head is fifteen seconds of monotonic time.
#[test]
fn deadline_passes_although_the_clock_is_set_back() {
    let folder = TempDir::new().unwrap();
    let mut clock = WallClock::new(folder.path());
    let mut service = clock.start(folder.path(), &[]);
    let mut stalled: Vec<Wire> = Vec::new();
    for offset in [0, -HOUR, -10 * YEAR] {
        clock.set(offset);
        let mut wire = service.connect();
        wire.send("GET /livez HTTP/1.1\r\nhost: a\r\n");
        stalled.push(wire);
    }
    for mut wire in stalled {
        wire.rest();
    }
    service.terminate();
    assert!(service.wait().success());
}
