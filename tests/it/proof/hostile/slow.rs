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
use super::beside::{Beside, Resident};
use super::files::raise_bound;
use super::memory::Watch;
use crate::proof::effort::Effort;
use crate::support::Service;

/// What a connection takes, its request or the piece of its answer included that waits to go out.
const EACH: u64 = MIB / 2;

/// What a reader of the longest list holds: its texts, escaped and in one piece.
const LIST: u64 = 16 * MIB;

/// Long, and the same for all: the service keeps each once.
const DOCUMENTS: [&str; 2] = ["/openapi.json", "/docs/swagger-ui-bundle.js"];

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
        stream.write_all(beginning.as_bytes()).unwrap();
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

/// More of it than the kernel keeps for a client that does not read.
fn readers(address: SocketAddr, count: usize, paths: &[&str], token: &str) -> Vec<Slow> {
    let begin = |number: usize| {
        let path = paths[number % paths.len()];
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");
        Slow::begin(address, &request.repeat(100), "")
    };
    (0..count).map(begin).collect()
}

#[test]
fn slow_heads_hold_nobody_up() {
    attack("slow heads", 400, 4000, EACH, |address, count, _| heads(address, count));
}

#[test]
fn slow_bodies_hold_nobody_up() {
    attack("slow bodies", 400, 4000, EACH, |address, count, _| bodies(address, count));
}

#[test]
fn answers_that_nobody_reads_hold_nobody_up() {
    attack("slow readers of documents", 300, 3000, EACH, |address, count, _| {
        readers(address, count, &DOCUMENTS, "")
    });
}

/// A list is written before it is sent: each reader holds one, and no more than one.
#[test]
fn lists_that_nobody_reads_take_no_more_than_one_each() {
    attack("slow readers of lists", 30, 60, LIST, |address, count, token| {
        readers(address, count, &["/posts?limit=1000"], token)
    });
}

fn attack(
    part: &'static str,
    short: usize,
    long: usize,
    each: u64,
    begin: impl Fn(SocketAddr, usize, &str) -> Vec<Slow>,
) {
    let mut effort = Effort::new(part, 1);
    raise_bound();
    let service = Service::start(&[]);
    let mut resident = Resident::settle(&service, "resident");
    publish_large_posts(&service, &resident.token);
    let watch = Watch::begin(&service);
    let address = service.address().parse().unwrap();
    let (count, is_long) = (effort.size(short, long), effort.size(0, 1) == 1);
    let token = resident.token.clone();
    let most = 64 * MIB + each * u64::try_from(count).unwrap();
    while effort.next_round().is_some() {
        resident.live_beside(|beside| {
            let mut slow = begin(address, count, &token);
            trickle(&mut slow, beside, is_long.then_some(&watch));
        });
        watch.wait_until_all_are_gone();
        watch.assert_growth_below(most, &effort.name_round());
    }
    effort.report("at once", count);
    effort.report("MiB", watch.describe());
    effort.report("answers to others meanwhile", resident.describe());
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

/// As much text as a list shows at most.
pub(super) fn publish_large_posts(service: &Service, token: &str) {
    let post = json!({"title": "large", "content": "x".repeat(1024 * 1024)});
    let mut wire = service.connect();
    for _ in 0..8 {
        wire.call("POST", "/posts", token, Some(&post)).unwrap().expect(201);
    }
}
