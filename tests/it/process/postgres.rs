//! The service while PostgreSQL is unreachable, out of connections, frozen, read-only or failing
//! over. The service returns 503 with `Retry-After`, and recovers without a restart.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Cluster, PASSWORD, PostgresDatabase, Service, TestResponse};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// A service on a database whose server the test can stop or break.
struct RunningService {
    service: Service,
    token: String,
    _folder: TempDir,
}

impl RunningService {
    fn start(url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = [("DATABASE_URL", url), ("SECRET_KEY", KEY)];
        let service = Service::start_in(folder.path(), &settings);
        Self { service, token: String::new(), _folder: folder }
    }

    /// Starts the service and logs in. The calls send the token.
    fn signed_in(url: &str) -> Self {
        let mut running = Self::start(url);
        let account = json!({"email": "ada@example.com", "password": PASSWORD});
        running.call("POST", "/users", Some(&account)).expect(201);
        let form = format!("username=ada%40example.com&password={}", PASSWORD.replace(' ', "+"));
        let login = running.service.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ));
        running.token = login.expect(200).json()["access_token"].as_str().unwrap().to_owned();
        running
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> TestResponse {
        self.service.connect().call(method, path, &self.token, body).unwrap()
    }

    fn write(&self) -> TestResponse {
        self.call("POST", "/posts", Some(&json!({"title": "t", "content": "c"})))
    }

    fn read(&self) -> TestResponse {
        self.call("GET", "/posts?limit=5", None)
    }

    /// Checks that the service is alive, not ready for this reason, and rejects requests with 503.
    fn assert_unavailable(&self, reason: &str) {
        assert_eq!(self.service.get("/livez").status, 200);
        let ready = self.service.get("/readyz").expect(503);
        assert_eq!(ready.json()["detail"], format!("not ready: {reason}"));
        for response in [self.write(), self.read(), self.call("GET", "/users/me", None)] {
            assert_refused(response);
        }
    }

    /// Waits until the service is ready and serves writes and reads.
    fn assert_recovered(&self) {
        wait_until(|| self.service.get("/readyz").status == 200);
        wait_until(|| self.write().status == 201);
        self.read().expect(200);
    }
}

fn assert_refused(response: TestResponse) {
    let response = response.expect(503);
    assert!(response.headers.contains_key("retry-after"), "{response:?}");
}

/// Waits at most 30 seconds until the condition is true.
#[track_caller]
fn wait_until(mut is_true: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if is_true() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the condition never became true");
}

const UNREACHABLE: &str = "the database is out of reach";

#[test]
fn database_available_after_startup_is_used() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let empty = cluster.empty_database();
    cluster.stop("fast");
    let (running, outdated) =
        (RunningService::start(database.url()), RunningService::start(empty.url()));
    running.service.get("/livez").expect(200);
    let ready = running.service.get("/readyz").expect(503);
    assert_eq!(ready.json()["detail"], format!("not ready: {UNREACHABLE}"));
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    assert_refused(running.call("POST", "/users", Some(&account)));
    cluster.start_server();
    wait_until(|| running.service.get("/readyz").status == 200);
    running.call("POST", "/users", Some(&account)).expect(201);
    // The service could not check the schema at startup, so it checks it now.
    let ready = outdated.service.get("/readyz").expect(503);
    assert!(ready.json()["detail"].as_str().unwrap().contains("revision"), "{ready:?}");
    assert_refused(outdated.call("POST", "/users", Some(&account)));
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
    let output = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{output}");
    assert!(output.contains("`post-api db upgrade`"), "{output}");
    let service = Service::run(&mut serve(&["--upgrade"]), folder.path());
    service.get("/readyz").expect(200);
}

#[test]
fn restarted_server_is_used_again() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let running = RunningService::signed_in(database.url());
    for mode in ["fast", "immediate"] {
        running.write().expect(201);
        cluster.stop(mode);
        running.assert_unavailable(UNREACHABLE);
        cluster.start_server();
        running.assert_recovered();
    }
}

#[test]
fn requests_without_free_connection_get_503_until_one_is_free() {
    let cluster = Cluster::start("max_connections = 8\nsuperuser_reserved_connections = 0\n");
    let database = cluster.database();
    let running = RunningService::signed_in(database.url());
    database.execute(KILL_OTHERS);
    let taken = take_all_connections(&database);
    assert!(!taken.is_empty());
    running.assert_unavailable(UNREACHABLE);
    drop(taken);
    running.assert_recovered();
}

/// Terminates every other connection to the server.
const KILL_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

fn take_all_connections(database: &PostgresDatabase<'_>) -> Vec<tokio_postgres::Client> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut taken = Vec::new();
    while let Ok(client) = runtime.block_on(post_api::store::postgres::connect(&database.address()))
    {
        taken.push(client);
    }
    // The connections end with their clients. To drop the runtime first would leave them open.
    std::mem::forget(runtime);
    taken
}

#[test]
fn read_only_database_serves_reads() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let running = RunningService::signed_in(database.url());
    running.write().expect(201);
    let read_only = |value: &str| {
        cluster.execute(
            "postgres",
            &format!("ALTER ROLE tester SET default_transaction_read_only = {value}"),
        );
    };
    read_only("on");
    cluster.execute("postgres", &format!("BEGIN READ WRITE; {KILL_OTHERS}"));
    wait_until(|| running.read().status == 200);
    assert_refused(running.write());
    let ready = running.service.get("/readyz").expect(503);
    assert_eq!(ready.json()["detail"], "not ready: the database only reads");
    running.read().expect(200);
    cluster.execute(
        "postgres",
        "BEGIN READ WRITE; ALTER ROLE tester SET default_transaction_read_only = off; COMMIT",
    );
    running.assert_recovered();
}

#[test]
fn requests_to_frozen_server_get_503() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let running = RunningService::signed_in(database.url());
    running.write().expect(201);
    cluster.signal_all("-STOP");
    let responses = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|number| {
                let running = &running;
                scope.spawn(move || if number % 2 == 0 { running.write() } else { running.read() })
            })
            .collect();
        running.service.get("/livez").expect(200);
        calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
    });
    cluster.signal_all("-CONT");
    for response in responses {
        assert_refused(response);
    }
    running.assert_recovered();
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
    let running = RunningService::signed_in(&url);
    running.write().expect(201);
    primary.stop("immediate");
    running.assert_unavailable(UNREACHABLE);
    standby.promote();
    running.assert_recovered();
}
