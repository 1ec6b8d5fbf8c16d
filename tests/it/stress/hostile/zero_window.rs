//! Lists that are asked for over HTTP/2 by clients that give them no room. Each is written before it
//! can be sent, and the connection is kept moving, so that it never stands still.
//!
//! Not here: one of them at a time, on HTTP/1.1 (`slow`).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::MIB;
use super::process_watch::Watch;
use super::slow::publish_large_posts;
use super::well_behaved::{Beside, Resident};
use crate::stress::budget::Budget;
use crate::support::Service;
use crate::support::frames::{
    END_HEADERS, END_STREAM, Kind, PREFACE, field, frame, request_fields,
};

/// What all large answers may take together.
const ROOM: u64 = 256 * MIB;

/// What is on its way to be counted, and what was counted while it is written.
const UNDER_WAY: u64 = 120 * MIB;

/// Lists of 8 MiB that a connection asks for: half as many again as there is room for.
const EACH: u32 = 48;

/// How the head of an answer begins that says 200.
const GIVEN: u8 = 0x88;

/// Several times what a list is held for, for a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(10);

/// A connection on which nothing has room but the heads of answers.
struct Greedy {
    stream: TcpStream,
    asked: u32,
    /// Bytes of the head of an answer that was not read.
    said: Vec<u8>,
    answered: u32,
    given: u32,
}

impl Greedy {
    fn open(service: &Service) -> Self {
        let mut stream = TcpStream::connect(service.address()).unwrap();
        stream.write_all(PREFACE).unwrap();
        stream.write_all(&frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, asked: 0, said: Vec::new(), answered: 0, given: 0 }
    }

    fn ask(&mut self, token: &str) {
        let mut fields = request_fields("GET", "/posts?limit=1000");
        fields.extend(field("authorization", &format!("Bearer {token}")));
        let stream = 2 * self.asked + 1;
        let asked = frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &fields);
        self.stream.write_all(&asked).unwrap();
        self.asked += 1;
    }

    /// Talks, and takes in what is said of the answers.
    fn go_on(&mut self) {
        self.stream.write_all(&frame(Kind::Ping, 0, 0, &[1; 8])).unwrap();
        let mut piece = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => panic!("the connection was ended"),
                Ok(length) => self.said.extend(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(length) = whole_frame(&self.said) {
            #[expect(clippy::as_conversions, reason = "the number that its name stands for")]
            let is_head = self.said[3] == Kind::Headers as u8;
            self.answered += u32::from(is_head);
            self.given += u32::from(is_head && self.said[9] == GIVEN);
            self.said.drain(..length);
        }
    }
}

/// The length of the first frame, if all of it is there.
fn whole_frame(said: &[u8]) -> Option<usize> {
    let head = said.get(..9)?;
    let length =
        9 + usize::from(head[0]) * 65536 + usize::from(head[1]) * 256 + usize::from(head[2]);
    (said.len() >= length).then_some(length)
}

fn ask_for_all(greedy: &mut [Greedy], token: &str, beside: &Beside) {
    let began = Instant::now();
    while greedy.iter().any(|one| one.answered < EACH) {
        for one in greedy.iter_mut() {
            if one.asked < EACH {
                one.ask(token);
            }
            one.go_on();
        }
        beside.wait_for(1);
        assert!(began.elapsed() < PATIENCE, "lists get no answer");
    }
}

fn is_given(service: &Service, token: &str) -> bool {
    let list = service.connect().call("GET", "/posts?limit=1000", token, None).unwrap();
    list.status == 200
}

/// The long form waits with the connections held, until what they hold was taken back.
fn wait_until_taken_back(is_over: impl Fn() -> bool, greedy: &mut [Greedy], beside: &Beside) {
    let began = Instant::now();
    while !is_over() {
        greedy.iter_mut().for_each(Greedy::go_on);
        beside.wait_for(5);
        assert!(began.elapsed() < PATIENCE, "lists are held for ever");
    }
}

#[test]
fn lists_with_zero_window_stay_within_memory_budget() {
    let mut budget = Budget::new("lists without a window", 1);
    let service = Service::start(&[]);
    let mut resident = Resident::settle(&service, "resident");
    publish_large_posts(&service, &resident.token);
    let watch = Watch::begin(&service);
    let base = watch.resident();
    let count = budget.size(1, 2);
    let (asked, mut given) = (EACH * u32::try_from(count).unwrap(), 0);
    let (token, is_long) = (resident.token.clone(), budget.is_long());
    while budget.next_round().is_some() {
        let context = budget.name_round();
        resident.live_beside(|beside| {
            let mut greedy: Vec<Greedy> = (0..count).map(|_| Greedy::open(&service)).collect();
            ask_for_all(&mut greedy, &token, beside);
            given = greedy.iter().map(|one| one.given).sum();
            assert!(given < asked, "{context}: nothing was refused");
            watch.assert_growth_below(ROOM + UNDER_WAY, &context);
            if is_long {
                let is_over = || watch.resident() < base + UNDER_WAY && is_given(&service, &token);
                wait_until_taken_back(is_over, &mut greedy, beside);
            }
        });
        watch.wait_until_all_are_gone();
        assert!(is_given(&service, &token), "{context}: there is no room after them");
        watch.wait_until_all_are_gone();
        watch.assert_growth_below(ROOM + UNDER_WAY, &context);
    }
    budget.report("lists asked for", format!("{asked} on {count} connections, {given} given"));
    budget.report("MiB", watch.describe());
    budget.report("answers to others meanwhile", resident.describe());
}
