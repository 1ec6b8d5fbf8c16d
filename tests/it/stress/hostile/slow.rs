//! Slow clients: heads and bodies sent byte by byte, and responses that the client does not read.
//!
//! Not here: the timeouts of such connections, see `process::limits` and `process::idle_timeout`.
//! The long form waits for them.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use super::open_files::raise_limit;
use super::process_watch::ProcessWatch;
use super::well_behaved::{Progress, WellBehavedClient};
use super::{CLIENT_MEMORY, hostile_socket};
use crate::stress::budget::Budget;
use crate::support::{Cluster, Service};

const KEY: &str = "3f8a1c5de2704b96a7d0c41b8e95f263";

/// A tenth less than the limit for bodies.
const NEARLY_COMPLETE: usize = 1800 * 1024;

/// Long documents that are the same for all clients, so the service keeps each once.
const DOCUMENTS: [&str; 2] = ["/openapi.json", "/docs/swagger-ui-bundle.js"];

/// Different lists that are requested.
const DIFFERENT_LISTS: usize = 24;

/// Twice the longest time until the last connection is closed, including those that get budget only
/// after the first are closed.
const TIMEOUT: Duration = Duration::from_mins(5);

/// A connection that sends the same piece again and again.
struct SlowClient {
    stream: TcpStream,
    piece: &'static str,
}

impl SlowClient {
    /// Connects with the smallest receive buffer that the kernel allows.
    fn connect(number: usize, address: SocketAddr, opening: &str, piece: &'static str) -> Self {
        let socket = hostile_socket(number);
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        // The service may reject the opening and close the connection.
        let _ = stream.write_all(opening.as_bytes());
        stream.set_nonblocking(true).unwrap();
        Self { stream, piece }
    }

    fn send_piece(&mut self) {
        if let Err(error) = self.stream.write_all(self.piece.as_bytes()) {
            // The service closed the connection, or does not read.
            let expected =
                [ErrorKind::WouldBlock, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(expected.contains(&error.kind()), "{error}");
        }
    }
}

fn heads(address: SocketAddr, count: usize) -> Vec<SlowClient> {
    let opening = "GET /livez HTTP/1.1\r\nhost: a\r\nx: ";
    (0..count).map(|number| SlowClient::connect(number, address, opening, "a")).collect()
}

fn bodies(address: SocketAddr, count: usize) -> Vec<SlowClient> {
    let head = "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 1000000\r\n\r\n{{\"email\": \"");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let connect = |number: usize| match number % 2 {
        0 => SlowClient::connect(number, address, &announced, "a"),
        _ => SlowClient::connect(number, address, &chunked, "1\r\n \r\n"),
    };
    (0..count).map(connect).collect()
}

/// Sends nearly all of each body immediately.
fn nearly_complete_bodies(address: SocketAddr, count: usize) -> Vec<SlowClient> {
    let head = "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: {}\r\n\r\n", 2 * 1024 * 1024);
    let opening = format!("{announced}{{\"email\": \"{}", "x".repeat(NEARLY_COMPLETE));
    (0..count).map(|number| SlowClient::connect(number, address, &opening, "a")).collect()
}

/// Requests more than the kernel buffers for a client that does not read.
fn readers_of_documents(address: SocketAddr, count: usize) -> Vec<SlowClient> {
    let connect = |number: usize| {
        let path = DOCUMENTS[number % DOCUMENTS.len()];
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        SlowClient::connect(number, address, &request.repeat(100), "")
    };
    (0..count).map(connect).collect()
}

/// Requests lists of 8 MiB, mostly different ones.
fn readers_of_lists(address: SocketAddr, count: usize, token: &str) -> Vec<SlowClient> {
    let connect = |number: usize| {
        let path = format!("/posts?limit=1000&skip={}", number % DIFFERENT_LISTS);
        let head = format!("host: a\r\nauthorization: Bearer {token}\r\n");
        SlowClient::connect(number, address, &format!("GET {path} HTTP/1.1\r\n{head}\r\n"), "")
    };
    (0..count).map(connect).collect()
}

#[test]
fn slow_heads_do_not_hold_up_others() {
    let attack = Attack { part: "slow heads", short: 400, long: 4000 };
    attack.run(&[], |address, count, _| heads(address, count));
}

#[test]
fn slow_bodies_do_not_hold_up_others() {
    let attack = Attack { part: "slow bodies", short: 400, long: 4000 };
    attack.run(&[], |address, count, _| bodies(address, count));
}

#[test]
fn nearly_complete_bodies_stay_within_memory_budget() {
    let part = "large bodies without an end";
    let attack = Attack { part, short: 250, long: 1000 };
    attack.run(&[], |address, count, _| nearly_complete_bodies(address, count));
}

#[test]
fn unread_responses_do_not_hold_up_others() {
    let attack = Attack { part: "slow readers of documents", short: 300, long: 3000 };
    attack.run(&[], |address, count, _| readers_of_documents(address, count));
}

#[test]
fn unread_lists_stay_within_memory_budget() {
    let attack = Attack { part: "slow readers of lists, embedded", short: 40, long: 120 };
    attack.run(&[], readers_of_lists);
}

#[test]
fn unread_lists_stay_within_memory_budget_on_postgresql() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let attack = Attack { part: "slow readers of lists, PostgreSQL", short: 40, long: 120 };
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    attack.run(&settings, readers_of_lists);
}

struct Attack {
    part: &'static str,
    /// Concurrent connections in the short form, and in the long.
    short: usize,
    long: usize,
}

impl Attack {
    fn run(
        &self,
        settings: &[(&str, &str)],
        connect: impl Fn(SocketAddr, usize, &str) -> Vec<SlowClient>,
    ) {
        let mut budget = Budget::new(self.part, 1);
        raise_limit();
        let service = Service::start(settings);
        let mut client = WellBehavedClient::sign_up(&service, "client");
        publish_large_posts(&service, &client.token);
        let watch = ProcessWatch::start(&service);
        let address = service.address().parse().unwrap();
        let count = budget.size(self.short, self.long);
        let is_long = budget.is_long();
        let token = client.token.clone();
        while budget.next_round().is_some() {
            client.run_during(|progress| {
                let mut slow = connect(address, count, &token);
                trickle(&mut slow, progress, is_long.then_some(&watch));
            });
            watch.wait_until_connections_are_closed();
            watch.assert_growth_below(CLIENT_MEMORY, &budget.name_round());
        }
        budget.report("concurrent connections", count);
        budget.report("MiB", watch.describe());
        budget.report("responses to others meanwhile", client.describe());
    }
}

/// Sends pieces until other clients had many responses, or, in the long form, until all connections
/// are closed.
fn trickle(slow: &mut [SlowClient], progress: &Progress, until_gone_from: Option<&ProcessWatch>) {
    let Some(watch) = until_gone_from else {
        for _ in 0..10 {
            slow.iter_mut().for_each(SlowClient::send_piece);
            progress.wait_for_responses(10);
        }
        return;
    };
    let start = Instant::now();
    // The well-behaved client has one more connection.
    while watch.connections() > 1 {
        slow.iter_mut().for_each(SlowClient::send_piece);
        progress.wait_for_responses(10);
        assert!(start.elapsed() < TIMEOUT, "{} connections are never closed", watch.connections());
    }
}

/// Creates posts for different lists of the maximum size.
pub(super) fn publish_large_posts(service: &Service, token: &str) {
    let post = json!({"title": "large", "content": "x".repeat(1024 * 1024)});
    let mut wire = service.connect();
    for _ in 0..DIFFERENT_LISTS + 8 {
        wire.call("POST", "/posts", token, Some(&post)).unwrap().expect(201);
    }
}
