//! Clients that take their time: heads and bodies of which a byte comes now and then, and answers that
//! nobody reads.
//!
//! Not here: that each of them is cut off at its time (`process::limits`, `process::stalled`). The
//! long form waits for it.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::MIB;
use super::open_files::raise_bound;
use super::process_watch::Watch;
use super::well_behaved::{Beside, Resident};
use crate::stress::budget::Budget;
use crate::support::{Cluster, Service};

/// What a connection takes, its request or the piece of its answer included that waits to go out.
const EACH: u64 = MIB / 2;

/// What all that are like each other take together where nothing is counted.
const UNCOUNTED: u64 = 64 * MIB;

/// What large bodies have together, and what is kept of those that are refused while they are sent.
const BODIES: u64 = (128 + 32) * MIB;

/// What large answers have together.
const ANSWERS: u64 = 256 * MIB;

/// Lists of 8 MiB that are being read or written: one for each thread that does so, twice where rows
/// are made texts or texts an answer. Of PostgreSQL's eight are read side by side.
const UNDER_WAY: u64 = 96 * MIB;
const UNDER_WAY_POSTGRES: u64 = 192 * MIB;

const KEY: &str = "3f8a1c5de2704b96a7d0c41b8e95f263";

/// A tenth less than a body may have.
const NEARLY_WHOLE: usize = 1800 * 1024;

/// Long, and the same for all: the service keeps each once.
const DOCUMENTS: [&str; 2] = ["/openapi.json", "/docs/swagger-ui-bundle.js"];

/// Lists that are asked for.
const DIFFERENT: usize = 24;

/// The longest that one of them is borne, for those too who find room only when the first are gone, and
/// as much again for a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(5);

/// A connection that says a piece of something, again and again.
struct Slow {
    stream: TcpStream,
    piece: &'static str,
}

impl Slow {
    /// With the least that the kernel keeps for a client that does not read.
    fn begin(address: SocketAddr, beginning: &str, piece: &'static str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        // One whose beginning is refused may be cut off in it.
        let _ = stream.write_all(beginning.as_bytes());
        stream.set_nonblocking(true).unwrap();
        Self { stream, piece }
    }

    fn go_on(&mut self) {
        if let Err(error) = self.stream.write_all(self.piece.as_bytes()) {
            // Cut off, or not listened to.
            let expected =
                [ErrorKind::WouldBlock, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(expected.contains(&error.kind()), "{error}");
        }
    }
}

fn heads(address: SocketAddr, count: usize) -> Vec<Slow> {
    let beginning = "GET /livez HTTP/1.1\r\nhost: a\r\nx: ";
    (0..count).map(|_| Slow::begin(address, beginning, "a")).collect()
}

fn bodies(address: SocketAddr, count: usize) -> Vec<Slow> {
    let head = "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 1000000\r\n\r\n{{\"email\": \"");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let begin = |number: usize| match number % 2 {
        0 => Slow::begin(address, &announced, "a"),
        _ => Slow::begin(address, &chunked, "1\r\n \r\n"),
    };
    (0..count).map(begin).collect()
}

/// Of which nearly all is said at once.
fn nearly_whole_bodies(address: SocketAddr, count: usize) -> Vec<Slow> {
    let head = "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: {}\r\n\r\n", 2 * 1024 * 1024);
    let beginning = format!("{announced}{{\"email\": \"{}", "x".repeat(NEARLY_WHOLE));
    (0..count).map(|_| Slow::begin(address, &beginning, "a")).collect()
}

/// More of it than the kernel keeps for a client that does not read.
fn readers_of_documents(address: SocketAddr, count: usize) -> Vec<Slow> {
    let begin = |number: usize| {
        let path = DOCUMENTS[number % DOCUMENTS.len()];
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        Slow::begin(address, &request.repeat(100), "")
    };
    (0..count).map(begin).collect()
}

/// Of 8 MiB, and hardly one like another.
fn readers_of_lists(address: SocketAddr, count: usize, token: &str) -> Vec<Slow> {
    let begin = |number: usize| {
        let path = format!("/posts?limit=1000&skip={}", number % DIFFERENT);
        let head = format!("host: a\r\nauthorization: Bearer {token}\r\n");
        Slow::begin(address, &format!("GET {path} HTTP/1.1\r\n{head}\r\n"), "")
    };
    (0..count).map(begin).collect()
}

#[test]
fn slow_heads_do_not_hold_up_others() {
    let attack = Attack { part: "slow heads", short: 400, long: 4000, counted: 0 };
    attack.run(&[], |address, count, _| heads(address, count));
}

#[test]
fn slow_bodies_do_not_hold_up_others() {
    let attack = Attack { part: "slow bodies", short: 400, long: 4000, counted: 0 };
    attack.run(&[], |address, count, _| bodies(address, count));
}

#[test]
fn nearly_complete_bodies_stay_within_memory_budget() {
    let part = "large bodies without an end";
    let attack = Attack { part, short: 250, long: 1000, counted: BODIES };
    attack.run(&[], |address, count, _| nearly_whole_bodies(address, count));
}

#[test]
fn unread_responses_do_not_hold_up_others() {
    let attack = Attack { part: "slow readers of documents", short: 300, long: 3000, counted: 0 };
    attack.run(&[], |address, count, _| readers_of_documents(address, count));
}

#[test]
fn unread_lists_stay_within_memory_budget() {
    let counted = ANSWERS + UNDER_WAY;
    let attack = Attack { part: "slow readers of lists, embedded", short: 40, long: 120, counted };
    attack.run(&[], readers_of_lists);
}

#[test]
fn unread_lists_stay_within_memory_budget_on_postgresql() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let counted = ANSWERS + UNDER_WAY_POSTGRES;
    let attack =
        Attack { part: "slow readers of lists, PostgreSQL", short: 40, long: 120, counted };
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    attack.run(&settings, readers_of_lists);
}

struct Attack {
    part: &'static str,
    /// Connections at once, in the short form and in the long.
    short: usize,
    long: usize,
    /// What all of them together may take of what is counted.
    counted: u64,
}

impl Attack {
    fn run(&self, settings: &[(&str, &str)], begin: impl Fn(SocketAddr, usize, &str) -> Vec<Slow>) {
        let mut budget = Budget::new(self.part, 1);
        raise_bound();
        let service = Service::start(settings);
        let mut resident = Resident::settle(&service, "resident");
        publish_large_posts(&service, &resident.token);
        let watch = Watch::begin(&service);
        let address = service.address().parse().unwrap();
        let count = budget.size(self.short, self.long);
        let is_long = budget.is_long();
        let token = resident.token.clone();
        let most = UNCOUNTED + self.counted + EACH * u64::try_from(count).unwrap();
        while budget.next_round().is_some() {
            resident.live_beside(|beside| {
                let mut slow = begin(address, count, &token);
                trickle(&mut slow, beside, is_long.then_some(&watch));
            });
            watch.wait_until_all_are_gone();
            watch.assert_growth_below(most, &budget.name_round());
        }
        budget.report("at once", count);
        budget.report("MiB", watch.describe());
        budget.report("answers to others meanwhile", resident.describe());
    }
}

/// Lets them go on until others have had many answers, or in the long form until each was cut off.
fn trickle(slow: &mut [Slow], beside: &Beside, until_gone_from: Option<&Watch>) {
    let Some(watch) = until_gone_from else {
        for _ in 0..10 {
            slow.iter_mut().for_each(Slow::go_on);
            beside.wait_for(10);
        }
        return;
    };
    let began = Instant::now();
    // One is the resident's own.
    while watch.connections() > 1 {
        slow.iter_mut().for_each(Slow::go_on);
        beside.wait_for(10);
        assert!(began.elapsed() < PATIENCE, "{} are borne for ever", watch.connections());
    }
}

/// So that there are different lists that show as much text as a list does at most.
pub(super) fn publish_large_posts(service: &Service, token: &str) {
    let post = json!({"title": "large", "content": "x".repeat(1024 * 1024)});
    let mut wire = service.connect();
    for _ in 0..DIFFERENT + 8 {
        wire.call("POST", "/posts", token, Some(&post)).unwrap().expect(201);
    }
}
