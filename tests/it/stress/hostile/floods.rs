//! HTTP/2 floods: frames that are cheap for the sender and might be costly for the service. The
//! service closes the connection or tolerates the flood. Other clients get responses, and memory is
//! bounded.
//!
//! Not here: the timeout of a stalled connection, see `process::idle_timeout`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use super::process_watch::ProcessWatch;
use super::well_behaved::{Progress, WellBehavedClient, login_request};
use super::{CLIENT_MEMORY, connect_hostile};
use crate::stress::budget::Budget;
use crate::support::frames::{
    END_HEADERS, END_STREAM, Kind, NEWEST_INDEXED_FIELD, PREFACE, field, frame, indexed_field,
    request_fields,
};
use crate::support::{PASSWORD, Service};

/// Bytes that are sent on a connection before it is the turn of the next.
const BYTES_PER_TURN: usize = 128 * 1024;

/// Bytes of frames that are generated at a time.
const BYTES_PER_WRITE: usize = 16 * 1024;

struct Flood {
    name: &'static str,
    /// Whether the service must close the connection.
    must_end: bool,
    opening: Vec<u8>,
    /// Returns the frames of the n-th repetition. Streams of clients have odd IDs.
    frames: Box<dyn Fn(u32) -> Vec<u8>>,
}

impl Flood {
    fn tolerated(name: &'static str, frames: impl Fn(u32) -> Vec<u8> + 'static) -> Self {
        Self { name, must_end: false, opening: Vec::new(), frames: Box::new(frames) }
    }

    fn ended(
        name: &'static str,
        opening: Vec<u8>,
        frames: impl Fn(u32) -> Vec<u8> + 'static,
    ) -> Self {
        Self { name, must_end: true, opening, frames: Box::new(frames) }
    }
}

fn resets(token: &str) -> Vec<Flood> {
    let cancel = |stream| frame(Kind::Reset, 0, stream, &[0, 0, 0, 8]);
    let mut list = request_fields("GET", "/posts?limit=1000");
    list.extend(field("authorization", &format!("Bearer {token}")));
    let request = login_request("client", PASSWORD);
    let form = request.split_once("\r\n\r\n").unwrap().1.as_bytes().to_vec();
    let mut login = request_fields("POST", "/login");
    login.extend(field("content-type", "application/x-www-form-urlencoded"));
    vec![
        Flood::tolerated("lists that are reset", move |time| {
            let stream = 2 * time + 1;
            let headers = frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &list);
            [headers, cancel(stream)].concat()
        }),
        Flood::tolerated("logins that are reset", move |time| {
            let stream = 2 * time + 1;
            let headers = frame(Kind::Headers, END_HEADERS, stream, &login);
            [headers, frame(Kind::Data, END_STREAM, stream, &form), cancel(stream)].concat()
        }),
        Flood::tolerated("streams that are never finished", |time| {
            frame(Kind::Headers, END_HEADERS, 2 * time + 1, &request_fields("POST", "/users"))
        }),
    ]
}

fn endless() -> Vec<Flood> {
    let started = frame(Kind::Headers, END_STREAM, 1, &request_fields("GET", "/livez"));
    let body = frame(Kind::Headers, END_HEADERS, 1, &request_fields("POST", "/users"));
    let more = field("a", &"b".repeat(1000));
    vec![
        Flood::ended("a head that never ends", started.clone(), move |_| {
            frame(Kind::Continuation, 0, 1, &more)
        }),
        Flood::ended("a head with empty continuations", started, |_| {
            frame(Kind::Continuation, 0, 1, &[])
        }),
        Flood::ended("a body of empty frames", body, |_| frame(Kind::Data, 0, 1, &[])),
    ]
}

fn control_frames() -> Vec<Flood> {
    vec![
        Flood::tolerated("settings", |time| {
            // Another size of the header table each time.
            let size = (time % 4096).to_be_bytes();
            frame(Kind::Settings, 0, 0, &[&[0, 1], &size[..]].concat())
        }),
        Flood::tolerated("pings", |_| frame(Kind::Ping, 0, 0, &[1; 8])),
        Flood::tolerated("priorities", |time| {
            frame(Kind::Priority, 0, 2 * time + 1, &[0, 0, 0, 0, 1])
        }),
        Flood::tolerated("window updates", |_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1])),
        Flood::tolerated("unknown frames", |_| frame(Kind::Unknown, 0, 0, &[1; 100])),
    ]
}

/// Heads that are small on the wire and large when decoded.
fn bombs() -> Vec<Flood> {
    let indexed = indexed_field("a", &"b".repeat(4000));
    let bomb = move |time: u32| {
        let mut fields = request_fields("GET", "/livez");
        fields.extend(&indexed);
        fields.extend([NEWEST_INDEXED_FIELD; 8000]);
        frame(Kind::Headers, END_STREAM | END_HEADERS, 2 * time + 1, &fields)
    };
    let sizes = |time: u32| {
        // Alternates the table size between zero and the maximum, as often as a frame can.
        let mut fields = [0x20, 0x3f, 0xe1, 0x1f].repeat(4000);
        fields.extend(request_fields("GET", "/livez"));
        frame(Kind::Headers, END_STREAM | END_HEADERS, 2 * time + 1, &fields)
    };
    vec![
        Flood::tolerated("heads of 32 MB in 12 kB", bomb),
        Flood::tolerated("table size updates", sizes),
    ]
}

/// Responses with a zero window, while the client keeps sending pings.
fn unread() -> Flood {
    let mut opening = frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let fields = request_fields("GET", "/docs/swagger-ui-bundle.js");
    for stream in 0..100 {
        opening.extend(frame(Kind::Headers, END_STREAM | END_HEADERS, 2 * stream + 1, &fields));
    }
    let ping = |_| frame(Kind::Ping, 0, 0, &[1; 8]);
    Flood { opening, ..Flood::tolerated("responses with a zero window", ping) }
}

/// A connection that sends a flood.
struct Source<'a> {
    flood: &'a Flood,
    stream: TcpStream,
    /// The bytes to send next, and how many of them were sent.
    piece: (Vec<u8>, usize),
    times: u32,
    /// Whether the source reads the responses.
    reads: bool,
    ended: bool,
}

impl<'a> Source<'a> {
    fn open(address: &str, flood: &'a Flood, number: usize) -> Self {
        let reads = number.is_multiple_of(2);
        let mut stream = connect_hostile(number, address.parse().unwrap());
        stream.write_all(PREFACE).unwrap();
        stream.write_all(&frame(Kind::Settings, 0, 0, &[])).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { flood, stream, piece: (flood.opening.clone(), 0), times: 0, reads, ended: false }
    }

    /// Sends until its turn is over or the service takes no more.
    fn send_turn(&mut self) {
        let mut sent = 0;
        while sent < BYTES_PER_TURN && !self.ended {
            if self.reads {
                self.read_available();
            }
            if self.piece.1 == self.piece.0.len() {
                self.refill();
            }
            match self.stream.write(&self.piece.0[self.piece.1..]) {
                Ok(length) => {
                    self.piece.1 += length;
                    sent += length;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.ended = true,
            }
        }
    }

    fn refill(&mut self) {
        let mut frames = Vec::new();
        while frames.len() < BYTES_PER_WRITE {
            frames.extend((self.flood.frames)(self.times));
            self.times += 1;
        }
        self.piece = (frames, 0);
    }

    fn read_available(&mut self) {
        let mut piece = [0; BYTES_PER_WRITE];
        while let Ok(length) = self.stream.read(&mut piece) {
            if length == 0 {
                self.ended = true;
                return;
            }
        }
    }
}

/// Runs the flood and returns how many connections ended, and the repetitions. Every second source
/// reads the responses.
fn run_flood(
    address: &str,
    flood: &Flood,
    sources: usize,
    turns: usize,
    progress: &Progress,
) -> (usize, u64) {
    let mut sources: Vec<Source> =
        (0..sources).map(|number| Source::open(address, flood, number)).collect();
    for _ in 0..turns {
        sources.iter_mut().for_each(Source::send_turn);
        progress.wait_for_responses(2);
    }
    let ended = sources.iter().filter(|source| source.ended).count();
    (ended, sources.iter().map(|source| u64::from(source.times)).sum())
}

#[test]
fn http_2_floods_do_not_hold_up_others() {
    let mut budget = Budget::new("HTTP/2 floods", 1);
    let service = Service::start(&[]);
    let mut client = WellBehavedClient::sign_up(&service, "client");
    let (count, turns) = (budget.size(4, 32), budget.size(5, 100));
    let mut floods = resets(&client.token);
    floods.extend([endless(), control_frames(), bombs(), vec![unread()]].into_iter().flatten());
    let watch = ProcessWatch::start(&service);
    while budget.next_round().is_some() {
        for flood in &floods {
            let context = format!("{}, {}", budget.name_round(), flood.name);
            let (ended, times) = client
                .run_during(|progress| run_flood(service.address(), flood, count, turns, progress));
            budget.report(
                flood.name,
                format!("{times} repetitions on {count} connections, {ended} closed"),
            );
            assert!(ended == count || !flood.must_end, "{context}: only {ended} were closed");
            watch.wait_until_connections_are_closed();
            watch.assert_growth_below(CLIENT_MEMORY, &context);
        }
    }
    budget.report("responses to others meanwhile", client.describe());
    budget.report("MiB", watch.describe());
}
