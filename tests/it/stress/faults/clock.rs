//! A machine whose clock is set, forwards and back, while clients write. Nothing is lost, what is made
//! bears the time of that one clock, and what only lasts goes on as before.
//!
//! The clock is the service's alone: a library that is loaded before all others (Debian's `faketime`)
//! tells it another time of day and leaves the monotonic clock as it is. PostgreSQL keeps its own.

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
use crate::support::{Answer, Cluster, PASSWORD, Service, Wire};

/// `$LIB` is the loader's name for the folder of this machine's libraries.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 365 * 24 * HOUR;

/// How far the service's clock is ahead, in seconds. Twenty years lead beyond 2038.
const OFFSETS: [i64; 10] =
    [0, 1, -1, 5 * 60, HOUR, -HOUR, 12 * HOUR, 10 * YEAR, -10 * YEAR, 20 * YEAR];

/// The lifetime of a token, in seconds.
const TOKEN_LIFETIME: i64 = HOUR / 2;

/// The clock of a machine that is set by hand.
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
        // It is read at any moment, and must be whole.
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

/// A client that looks at each setting of the clock what it does to its own things.
struct Observer<'a> {
    service: &'a Service,
    email: String,
    /// From the beginning of the round, and the clock as it was then.
    first_token: String,
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
        let answer = self.service.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ));
        answer.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.service.connect().call(method, path, token, body).unwrap()
    }

    /// Sets the clock in the middle of a request, and tries everything that knows a time.
    fn check_at(&self, clock: &mut WallClock, offset: i64, seed: &str) {
        let mut half = self.service.connect();
        half.send("GET /livez HTTP/1.1\r\nhost: a\r\n");
        clock.set(offset);
        assert_eq!(half.exchange("\r\n").status, 200, "{seed}: no deadline has passed");

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

    /// Whatever the clock said when each was made.
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

/// Tells the service to end, also where the observer has found a fault: the clients write until then.
struct TerminateOnDrop<'a>(&'a Service);

impl Drop for TerminateOnDrop<'_> {
    fn drop(&mut self) {
        self.0.terminate();
    }
}

/// Fails also where the library did not get into the service, which then sees no setting.
fn assert_created_since(before: Timestamp, clock: &WallClock, thing: &Value, seed: &str) {
    let created: Timestamp = thing["created_at"].as_str().unwrap().parse().unwrap();
    // The library counts in fractions.
    let blur = SignedDuration::from_millis(1);
    assert!(
        before - blur <= created && created <= clock.now() + blur,
        "{seed}: with the clock at {:+} it was created {created}, and asked for {before}",
        clock.offset
    );
}

/// No fault of its own, and nothing that took as long as the clock was set.
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
    set_the_clock(Budget::new("clock, embedded", 2), &folder, &[], || {
        Box::new(SqliteFile::open(&file))
    });
}

#[test]
fn acknowledged_writes_survive_clock_changes_on_postgresql() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    set_the_clock(Budget::new("clock, PostgreSQL", 2), &folder, &settings, || {
        Box::new(cluster.existing_database(database.name()))
    });
}

/// Each round begins at the right time; what is found afterwards is read by a service that starts at
/// a wrong one.
fn set_the_clock<'a>(
    mut budget: Budget,
    folder: &TempDir,
    settings: &[(&str, &str)],
    stored: impl Fn() -> Box<dyn StoredRows + 'a>,
) {
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(8, &mut rng);
    let mut clock = WallClock::new(folder.path());
    let mut settings_of_the_clock = 0;
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
                settings_of_the_clock += 1;
            }
        });
        assert!(service.wait().success(), "{seed}: {}", service.final_stderr());
        assert_healthy(&mut service, &seed);
        let mut service = clock.start(folder.path(), settings);
        reconcile(&mut ledgers, stored().as_ref(), &service, &seed);
        service.terminate();
        assert!(service.wait().success(), "{seed}");
    }
    budget.report("times the clock was set", settings_of_the_clock);
    let renewals: usize = ledgers.iter().map(Ledger::renewals).sum();
    assert!(renewals > 0, "no token of a client has ended");
    budget.report("tokens ended by the clock and renewed", renewals);
    report(&budget, &ledgers);
}

/// Every offset once, and 1970: a machine whose battery is empty.
fn shuffled(rng: &mut Rng) -> Vec<i64> {
    let mut offsets = OFFSETS.to_vec();
    offsets.push(-SystemClock.now().as_second() + 60);
    rng.shuffle(&mut offsets);
    offsets
}

/// The head of a request may take fifteen seconds, whatever the clock says meanwhile.
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
