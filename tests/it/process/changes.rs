//! Streams of changes over sockets: the end of the service, clients that read nothing, and two
//! processes on one database.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use post_api::api::ChangeFeed;
use post_api::store::postgres::connect;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::{
    Cluster, EventStream, METRICS, Metrics, PASSWORD, Service, Setup, TestApp, TestServer, Wire,
    limits,
};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

const CHANGES: &str = "/posts/changes";

fn sign_up(service: &Service, email: &str) -> String {
    let account = json!({"email": email, "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    service.log_in(email)
}

fn write_post(service: &Service, token: &str, title: &str) -> i64 {
    let post = json!({"title": title, "content": "text"});
    let response = service.connect().call("POST", "/posts", token, Some(&post)).unwrap();
    response.expect(201).json()["id"].as_i64().unwrap()
}

fn vote(service: &Service, token: &str, post: i64, dir: i64) {
    let vote = json!({"post_id": post, "dir": dir});
    service.connect().call("POST", "/vote", token, Some(&vote)).unwrap().expect(201);
}

/// Opens a stream and reads its greeting.
fn listen(service: &Service, token: &str) -> Wire {
    let mut wire = service.connect();
    let response = wire.call("GET", CHANGES, token, None).unwrap().expect(200);
    assert!(response.text().starts_with("retry: "), "{response:?}");
    wire.read_until("event: hello");
    wire
}

#[test]
fn stop_ends_streams_and_waits_for_none() {
    let mut service = Service::start(&[METRICS]);
    let token = sign_up(&service, "ada@example.com");
    let mut streams = [(); 3].map(|()| listen(&service, &token));
    assert_eq!(Metrics::of(&service).value("post_api_change_streams"), 3);
    service.terminate();
    for stream in &mut streams {
        // The last chunk is empty: the response is complete.
        assert_eq!(stream.chunk().unwrap(), b"");
        assert_eq!(stream.rest(), "");
    }
    assert_eq!(service.wait().code(), Some(0));
    let log = service.final_stderr();
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn streams_continue_during_the_delay_of_the_shutdown() {
    let service = Service::start(&[("SHUTDOWN_DELAY_SECONDS", "3600")]);
    let token = sign_up(&service, "ada@example.com");
    let mut stream = listen(&service, &token);
    service.terminate();
    while service.get("/readyz").status == 200 {}
    write_post(&service, &token, "during the delay");
    stream.read_until("during the delay");
}

#[test]
fn service_without_streams_has_no_route() {
    let service = Service::start(&[("CHANGES_STREAMS", "0")]);
    let token = sign_up(&service, "ada@example.com");
    let mut wire = service.connect().checked_by(None);
    let response = wire.call("GET", CHANGES, &token, None).unwrap().expect(404);
    assert_eq!(response.detail(), "Not Found");
    wire.call("POST", "/posts/changes/tickets", &token, None).unwrap().expect(404);
}

#[test]
fn processes_on_one_database_have_the_same_streams() {
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let mut services = [(); 2].map(|()| Service::start_in(folder.path(), &settings));
    let ada = sign_up(&services[0], "ada@example.com");
    let bob = sign_up(&services[1], "bob@example.com");
    let post = write_post(&services[0], &ada, "first");
    let mut stream = listen(&services[1], &bob);
    let second = write_post(&services[0], &ada, "second");
    let read = stream.read_until(&format!("{{\"id\":{second},"));
    let id = read.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    // The other process continues where this one was killed.
    services[1].kill();
    vote(&services[0], &bob, post, 1);
    let mut wire = services[0].connect();
    let header = format!("last-event-id: {id}\r\n");
    wire.call_with("GET", CHANGES, &bob, &header, None).unwrap().expect(200);
    let read = wire.read_until("event: votes");
    assert!(read.contains("{\"resumed\":true}"), "{read}");
    assert!(read.contains(&format!("{{\"id\":{post},\"votes\":1}}")), "{read}");
}

/// The rows that the earlier state gets have the numbers of the lost ones.
#[test]
fn id_of_a_later_life_of_the_database_begins_a_new_stream() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data/posts.db");
    let start = || Service::start_in(folder.path(), &[("SECRET_KEY", KEY)]);
    let stop = |mut service: Service| {
        service.terminate();
        assert_eq!(service.wait().code(), Some(0));
    };
    let service = start();
    let token = sign_up(&service, "ada@example.com");
    listen(&service, &token);
    write_post(&service, &token, "kept");
    stop(service);
    let copy = std::fs::read(&path).unwrap();
    let service = start();
    let mut stream = listen(&service, &token);
    write_post(&service, &token, "lost");
    let read = stream.read_until("\n\n");
    let id = read.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    stop(service);
    std::fs::write(&path, copy).unwrap();
    let service = start();
    for _ in 0..3 {
        let mut wire = service.connect();
        let header = format!("last-event-id: {id}\r\n");
        wire.call_with("GET", CHANGES, &token, &header, None).unwrap().expect(200);
        let read = wire.read_until("event: hello");
        assert!(read.contains("{\"resumed\":false}"), "{read}");
        write_post(&service, &token, "of this life");
    }
}

/// RFC 9110, 8.6: the length would be that of the body of `GET`.
#[test]
fn head_of_a_response_without_a_length_has_none() {
    let service = Service::start(&[]);
    let token = sign_up(&service, "ada@example.com");
    for path in [CHANGES, "/users/me/export", "/users/me"] {
        let mut wire = service.connect();
        wire.send(format!(
            "HEAD {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\n\r\n"
        ));
        let head = wire.rest();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(head.contains("content-length: "), path == "/users/me", "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
}

#[test]
fn sign_out_at_one_process_ends_the_stream_of_another() {
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let services = [(); 2].map(|()| Service::start_in(folder.path(), &settings));
    let ada = sign_up(&services[0], "ada@example.com");
    let bob = sign_up(&services[0], "bob@example.com");
    let post = write_post(&services[0], &ada, "post");
    let mut revoked = listen(&services[1], &ada);
    let mut other = listen(&services[1], &bob);
    services[0].connect().call("POST", "/logout", &ada, None).unwrap().expect(204);
    vote(&services[0], &bob, post, 1);
    assert_eq!(revoked.chunk().unwrap(), b"", "the stream continues");
    other.read_until("event: votes");
}

/// An open transaction hides the sign-out from the readers of the log, but not the vote after it.
#[tokio::test(flavor = "multi_thread")]
async fn frame_waits_for_revocations_that_an_open_transaction_hides() {
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let service = Service::start_in(folder.path(), &settings);
    let ada = sign_up(&service, "ada@example.com");
    let bob = sign_up(&service, "bob@example.com");
    let post = write_post(&service, &ada, "post");
    let mut revoked = listen(&service, &ada);
    let mut other = listen(&service, &bob);
    let writer = connect(&database.address()).await.unwrap();
    vote(&service, &ada, post, 1);
    writer.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    service.connect().call("POST", "/logout", &ada, None).unwrap().expect(204);
    vote(&service, &bob, post, 1);
    // The reader may have sent the first vote before.
    let end = "the end of the transaction";
    let post_text = json!({"title": end, "content": "text"});
    service.connect().call("POST", "/posts", &bob, Some(&post_text)).unwrap().expect(201);
    writer.batch_execute("COMMIT").await.unwrap();
    let read = other.read_until("\"votes\":2}");
    assert!(!read.is_empty());
    let mut seen = Vec::new();
    while let Some(chunk) = Some(revoked.chunk().unwrap()).filter(|chunk| !chunk.is_empty()) {
        seen.extend(chunk);
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(!seen.contains("\"votes\":2") && !seen.contains(end), "{seen}");
}

/// The time limit of a response runs only while the client does not take what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn client_that_reads_nothing_is_closed() {
    let changes = ChangeFeed::default();
    let setup = Setup { changes: changes.clone(), ..Setup::default() };
    let app = TestApp::set_up(setup).await;
    let ada = app.signed_in("ada").await;
    let request = ada.request("GET", CHANGES).body(Body::empty()).unwrap();
    let mut other = EventStream::open(app.routes(), request).await;
    other.expect("hello").await;
    let short = limits(|timeouts| timeouts.response = Duration::from_secs(1));
    let server = TestServer::start(app.routes(), short);
    let mut silent = connect_with_small_buffer(server.address);
    silent.call("GET", CHANGES, ada.token.as_deref().unwrap(), None).unwrap().expect(200);
    silent.read_until("event: hello");
    assert_eq!(changes.open_streams(), 2);
    let end = Instant::now() + Duration::from_mins(1);
    while changes.open_streams() == 2 {
        assert!(Instant::now() < end, "the service keeps the stream");
        app.execute(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
             INSERT INTO posts (title, content, published, owner_id, created_at)
             SELECT 'title', '{}', true, {}, (SELECT created_at FROM users LIMIT 1) FROM n",
            "x".repeat(3_000),
            ada.id
        ));
        let last = ada.write_post("last").await;
        other.until("created", last).await;
    }
    assert!(!silent.rest().is_empty());
    server.end();
}

/// The kernel keeps less for the client than the test sends.
fn connect_with_small_buffer(address: SocketAddr) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    Wire::over(socket.into()).unwrap()
}
