//! The service while PostgreSQL is away, full, frozen, or not the server it was: every answer is an
//! answer, and it goes on by itself.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Cluster, PASSWORD, Service, TestDatabase};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// A service on a database of a cluster that the test may break.
struct Place {
    service: Service,
    token: String,
    _folder: TempDir,
}

impl Place {
    fn start(url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = [("DATABASE_URL", url), ("SECRET_KEY", KEY)];
        let service = Service::start_in(folder.path(), &settings);
        Self { service, token: String::new(), _folder: folder }
    }

    /// With an account, whose token the calls carry.
    fn signed_in(url: &str) -> Self {
        let mut place = Self::start(url);
        let account = json!({"email": "ada@example.com", "password": PASSWORD});
        place.call("POST", "/users", Some(&account)).expect(201);
        let form = format!("username=ada%40example.com&password={}", PASSWORD.replace(' ', "+"));
        let login = place.service.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ));
        place.token = login.expect(200).json()["access_token"].as_str().unwrap().to_owned();
        place
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.service.connect().call(method, path, &self.token, body).unwrap()
    }

    fn write(&self) -> Answer {
        self.call("POST", "/posts", Some(&json!({"title": "t", "content": "c"})))
    }

    fn read(&self) -> Answer {
        self.call("GET", "/posts?limit=5", None)
    }

    /// Not ready for this reason, alive, and nothing it answers is a fault of its own.
    fn assert_away(&self, reason: &str) {
        assert_eq!(self.service.get("/livez").status, 200);
        let ready = self.service.get("/readyz").expect(503);
        assert_eq!(ready.json()["detail"], format!("not ready: {reason}"));
        for answer in [self.write(), self.read(), self.call("GET", "/users/me", None)] {
            assert_refused(answer);
        }
    }

    /// Ready again, for both kinds of request.
    fn assert_back(&self) {
        until(|| self.service.get("/readyz").status == 200);
        until(|| self.write().status == 201);
        self.read().expect(200);
    }
}

fn assert_refused(answer: Answer) {
    let answer = answer.expect(503);
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
}

/// Waits for what must come.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it does not come");
}

const OUT_OF_REACH: &str = "the database is out of reach";

#[test]
fn database_available_after_startup_is_used() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let empty = cluster.empty_database();
    cluster.stop("fast");
    let (place, behind) = (Place::start(database.url()), Place::start(empty.url()));
    place.service.get("/livez").expect(200);
    let ready = place.service.get("/readyz").expect(503);
    assert_eq!(ready.json()["detail"], format!("not ready: {OUT_OF_REACH}"));
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    assert_refused(place.call("POST", "/users", Some(&account)));
    cluster.go();
    until(|| place.service.get("/readyz").status == 200);
    place.call("POST", "/users", Some(&account)).expect(201);
    // What it could not look at in the beginning it looks at now.
    let ready = behind.service.get("/readyz").expect(503);
    assert!(ready.json()["detail"].as_str().unwrap().contains("revision"), "{ready:?}");
    assert_refused(behind.call("POST", "/users", Some(&account)));
}

#[test]
fn outdated_database_is_rejected_until_upgraded() {
    let database = Cluster::shared().empty_database();
    let folder = TempDir::new().unwrap();
    let serve = |arguments: &[&str]| {
        let mut command = Service::command(folder.path());
        command.env("DATABASE_URL", database.url()).env("SECRET_KEY", KEY);
        command.args(["serve", "--port", "0"]).args(arguments);
        command
    };
    let refused = serve(&[]).stderr(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("`post-api db upgrade`"), "{said}");
    let service = Service::run(&mut serve(&["--upgrade"]), folder.path());
    service.get("/readyz").expect(200);
}

#[test]
fn restarted_server_is_used_again() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let place = Place::signed_in(database.url());
    for mode in ["fast", "immediate"] {
        place.write().expect(201);
        cluster.stop(mode);
        place.assert_away(OUT_OF_REACH);
        cluster.go();
        place.assert_back();
    }
}

#[test]
fn requests_without_free_connection_get_503_until_one_is_free() {
    let cluster = Cluster::start("max_connections = 8\nsuperuser_reserved_connections = 0\n");
    let database = cluster.database();
    let place = Place::signed_in(database.url());
    database.execute(KILL_OTHERS);
    let taken = take_all_connections(&database);
    assert!(!taken.is_empty());
    place.assert_away(OUT_OF_REACH);
    drop(taken);
    place.assert_back();
}

/// Ends every session but its own.
const KILL_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

fn take_all_connections(database: &TestDatabase<'_>) -> Vec<tokio_postgres::Client> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut taken = Vec::new();
    while let Ok(client) = runtime.block_on(post_api::store::postgres::connect(&database.address()))
    {
        taken.push(client);
    }
    // The sessions end with their clients, which the runtime's end would leave hanging.
    std::mem::forget(runtime);
    taken
}

/// A database that only reads is no fault of its readers.
#[test]
fn read_only_database_serves_reads() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let place = Place::signed_in(database.url());
    place.write().expect(201);
    let read_only = |value: &str| {
        cluster.execute(
            "postgres",
            &format!("ALTER ROLE tester SET default_transaction_read_only = {value}"),
        );
    };
    read_only("on");
    cluster.execute("postgres", &format!("BEGIN READ WRITE; {KILL_OTHERS}"));
    until(|| place.read().status == 200);
    assert_refused(place.write());
    let ready = place.service.get("/readyz").expect(503);
    assert_eq!(ready.json()["detail"], "not ready: the database only reads");
    place.read().expect(200);
    cluster.execute(
        "postgres",
        "BEGIN READ WRITE; ALTER ROLE tester SET default_transaction_read_only = off; COMMIT",
    );
    place.assert_back();
}

#[test]
fn requests_to_frozen_server_get_503() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let place = Place::signed_in(database.url());
    place.write().expect(201);
    cluster.signal_all("-STOP");
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|number| {
                let place = &place;
                scope.spawn(move || if number % 2 == 0 { place.write() } else { place.read() })
            })
            .collect();
        place.service.get("/livez").expect(200);
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
    });
    cluster.signal_all("-CONT");
    for answer in answers {
        assert_refused(answer);
    }
    place.assert_back();
}

#[test]
fn promoted_standby_is_used() {
    let primary = Cluster::start("wal_level = replica\n");
    let database = primary.database();
    let standby = primary.standby();
    let url = database.url().replace(
        &format!(":{}", primary.port()),
        &format!(":{},127.0.0.1:{}", primary.port(), standby.port()),
    );
    let place = Place::signed_in(&url);
    place.write().expect(201);
    primary.stop("immediate");
    place.assert_away(OUT_OF_REACH);
    standby.promote();
    place.assert_back();
}
