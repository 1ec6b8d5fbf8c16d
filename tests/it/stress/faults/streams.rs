//! Clients that follow the stream of changes while the service and PostgreSQL crash, and while the
//! streams themselves are lost. After each round the list of each client equals `GET /posts`.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::KEY;
use super::keyed::{Client, LIFETIME};
use crate::stress::budget::Budget;
use crate::stress::followed_list::{FollowedList, Wanted};
use crate::stress::rng::Rng;
use crate::support::{Cluster, PASSWORD, Service, Wire};

const WRITERS: usize = 4;

const FOLLOWERS: usize = 6;

/// A client leaves its stream after one of so many blocks. With a smaller number it would leave before
/// the end of every long frame, and never advance.
const LOSSES: u64 = 50;

/// The time before a client connects again.
const PAUSE: Duration = Duration::from_millis(5);

/// The addresses of the running processes. A client chooses one for each request.
#[derive(Default)]
struct Addresses(Mutex<Vec<String>>);

impl Addresses {
    fn set<'a>(&self, services: impl IntoIterator<Item = &'a Service>) {
        let addresses = services.into_iter().map(|service| service.address().to_owned());
        *self.0.lock().unwrap() = addresses.collect();
    }

    fn pick(&self, rng: &mut Rng) -> String {
        rng.pick(&self.0.lock().unwrap()).clone()
    }
}

struct Follower {
    token: String,
    rng: Rng,
    list: Arc<Mutex<FollowedList>>,
    /// The `id` of the last event. Empty if the list must be read again.
    last_id: String,
    unread: String,
    opened: usize,
    resumed: usize,
}

impl Follower {
    fn new(number: usize, service: &Service, rng: Rng) -> Self {
        let email = format!("follower{number}@example.com");
        let account = json!({"email": email, "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        Self {
            token: service.log_in(&email),
            rng,
            list: Arc::default(),
            last_id: String::new(),
            unread: String::new(),
            opened: 0,
            resumed: 0,
        }
    }

    /// Opens a new stream after each loss.
    fn follow(&mut self, addresses: &Addresses, is_over: &AtomicBool) {
        while let Err(_lost) = self.follow_stream(addresses, is_over) {
            std::thread::sleep(PAUSE);
        }
    }

    /// Follows one stream until the round is over. An error means that the stream was lost.
    fn follow_stream(&mut self, addresses: &Addresses, is_over: &AtomicBool) -> io::Result<()> {
        let address = addresses.pick(&mut self.rng);
        let mut stream = self.open(&address)?;
        while !is_over.load(Ordering::SeqCst) {
            let block = self.read_block(&mut stream)?;
            self.apply(&address, &block)?;
            if self.rng.below(LOSSES) == 0 {
                return Err(io::Error::other("the client leaves"));
            }
        }
        Ok(())
    }

    fn open(&mut self, address: &str) -> io::Result<Wire> {
        let mut stream = Wire::try_connect(address)?;
        let header = format!("last-event-id: {}\r\n", self.last_id);
        let response = stream.call_with("GET", "/posts/changes", &self.token, &header, None)?;
        if response.status != 200 {
            assert!([429, 503].contains(&response.status.as_u16()), "{response:?}");
            return Err(io::Error::other("the stream is refused"));
        }
        self.opened += 1;
        response.text().clone_into(&mut self.unread);
        Ok(stream)
    }

    /// Returns the lines up to the next blank one.
    fn read_block(&mut self, stream: &mut Wire) -> io::Result<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                return Ok(block);
            }
            let chunk = stream.chunk()?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Applies the event, and keeps its `id` once the list has the event.
    fn apply(&mut self, address: &str, block: &str) -> io::Result<()> {
        let is_resumed = block.contains("{\"resumed\":true}");
        assert!(!is_resumed || !self.last_id.is_empty(), "nothing to continue: {block}");
        self.resumed += usize::from(is_resumed);
        let wanted = self.list.lock().unwrap().apply(block);
        match wanted {
            Wanted::Nothing => {}
            Wanted::List => {
                self.last_id.clear();
                let list = read_list(&mut Wire::try_connect(address)?, &self.token)?;
                *self.list.lock().unwrap() = list;
            }
            Wanted::Post(id) => {
                let mut wire = Wire::try_connect(address)?;
                let path = format!("/posts/{id}");
                let response = wire.call("GET", &path, &self.token, None)?;
                match response.status.as_u16() {
                    200 => self.list.lock().unwrap().insert(&response.json()),
                    // The deletion comes in a later event.
                    404 => {}
                    _ => return Err(io::Error::other("the post is not read")),
                }
            }
        }
        if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
            id.clone_into(&mut self.last_id);
        }
        Ok(())
    }
}

/// Reads all published posts. Follows the links from page to page: a deletion meanwhile would move a
/// post past a `skip`.
fn read_list(wire: &mut Wire, token: &str) -> io::Result<FollowedList> {
    let mut items: Vec<Value> = Vec::new();
    let mut path = "/posts?limit=1000&published=true".to_owned();
    loop {
        let response = wire.call("GET", &path, token, None)?;
        if response.status != 200 {
            return Err(io::Error::other("the list is not read"));
        }
        items.extend_from_slice(response.json().as_array().unwrap());
        let Some((next, _)) = response.header("link").split_once(">; rel=\"next\"") else {
            return Ok(FollowedList::of(&items));
        };
        next.rsplit('<').next().unwrap().clone_into(&mut path);
    }
}

/// Writes with keys at a random process until the end, and repeats each write that was not answered.
fn write(
    writer: &mut Client,
    mut rng: Rng,
    addresses: &Addresses,
    are_over: &AtomicBool,
    acknowledged: &Sender<()>,
) {
    while !are_over.load(Ordering::SeqCst) || writer.is_pending() {
        let Ok(mut wire) = Wire::try_connect(addresses.pick(&mut rng)) else { continue };
        while writer.write(&mut wire).is_ok() {
            // The receiver stops counting at the end of the round.
            let _ = acknowledged.send(());
            if are_over.load(Ordering::SeqCst) {
                return;
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn wait_for_answers(received: &Receiver<()>, answers: u64) {
    for _ in 0..answers {
        received.recv_timeout(Duration::from_mins(1)).expect("no answer in time");
    }
}

/// Ends the clients also if the test fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits up to a minute.
fn wait_for_lists(lists: &[Arc<Mutex<FollowedList>>], expected: &FollowedList) {
    let end = Instant::now() + Duration::from_mins(1);
    for list in lists {
        while *list.lock().unwrap() != *expected {
            let list = list.lock().unwrap().clone();
            assert!(Instant::now() < end, "{}", list.describe_difference(expected));
            std::thread::sleep(PAUSE);
        }
    }
}

struct Clients {
    writers: Vec<Client>,
    followers: Vec<Follower>,
}

impl Clients {
    fn new(service: &Service, rng: &mut Rng) -> Self {
        let followers = (0..FOLLOWERS).map(|number| {
            let rng = Rng::new(rng.next());
            Follower::new(number, service, rng)
        });
        let followers = followers.collect();
        Self {
            writers: (0..WRITERS).map(|number| Client::new(number, service)).collect(),
            followers,
        }
    }

    /// Lets everyone write and follow, and ends something amid the writes. Then waits until the list of
    /// each follower equals `GET /posts`. `crash` returns once everything runs again.
    fn run_round(&mut self, addresses: &Addresses, rng: &mut Rng, crash: impl FnOnce()) {
        let (are_writes_over, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let lists: Vec<_> = self.followers.iter().map(|one| Arc::clone(&one.list)).collect();
        std::thread::scope(|scope| {
            let end_of_round = EndOnDrop(&is_over);
            for follower in &mut self.followers {
                scope.spawn(|| follower.follow(addresses, &is_over));
            }
            std::thread::scope(|scope| {
                let end_of_writes = EndOnDrop(&are_writes_over);
                let (acknowledged, received) = mpsc::channel();
                for writer in &mut self.writers {
                    let (rng, acknowledged) = (Rng::new(rng.next()), acknowledged.clone());
                    let end = &are_writes_over;
                    scope.spawn(move || write(writer, rng, addresses, end, &acknowledged));
                }
                wait_for_answers(&received, rng.below(100));
                crash();
                wait_for_answers(&received, rng.below(20));
                drop(end_of_writes);
            });
            let writer = &mut self.writers[0];
            let mut wire = Wire::connect(addresses.pick(rng));
            let expected = read_list(&mut wire, writer.token()).unwrap();
            wait_for_lists(&lists, &expected);
            drop(end_of_round);
            // Followers look for the end of the round after each block. One of two steps may be a read.
            for _ in 0..2 {
                while writer.write(&mut Wire::connect(addresses.pick(rng))).is_err() {}
            }
        });
    }

    fn report(&self, budget: &Budget) {
        let sum = |count: fn(&Follower) -> usize| self.followers.iter().map(count).sum::<usize>();
        budget.report("rounds", budget.rounds());
        budget.report("writes that clients followed", Client::answered(&self.writers));
        budget.report("streams", sum(|follower| follower.opened));
        budget.report("of these resumed", sum(|follower| follower.resumed));
    }
}

#[test]
fn followed_lists_survive_crashes_on_sqlite() {
    let mut budget = Budget::new("streams and kill -9, embedded", 3);
    let mut rng = Rng::new(budget.seed());
    let folder = TempDir::new().unwrap();
    let start = || Service::start_in(folder.path(), &[LIFETIME]);
    let mut service = start();
    let addresses = Addresses::default();
    addresses.set([&service]);
    let mut clients = Clients::new(&service, &mut rng);
    while budget.next_round().is_some() {
        let event = rng.below(3);
        clients.run_round(&addresses, &mut rng, || {
            end_process(&mut service, event);
            service = start();
            addresses.set([&service]);
        });
    }
    clients.report(&budget);
}

#[test]
fn followed_lists_survive_crashes_of_postgresql_and_processes() {
    let mut budget = Budget::new("streams, crashes and kill -9, PostgreSQL", 4);
    let mut rng = Rng::new(budget.seed());
    let cluster = Cluster::start("");
    let database = cluster.database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY), LIFETIME];
    let start = || Service::start_in(folder.path(), &settings);
    let mut services = [start(), start()];
    let addresses = Addresses::default();
    addresses.set(&services);
    let mut clients = Clients::new(&services[0], &mut rng);
    while budget.next_round().is_some() {
        let event = rng.below(4);
        clients.run_round(&addresses, &mut rng, || {
            if event == 3 {
                cluster.stop("immediate");
                cluster.start_server();
                return;
            }
            end_process(&mut services[0], event);
            services[0] = start();
            services.reverse();
            addresses.set(&services);
        });
    }
    clients.report(&budget);
}

/// Ends the process at once, or as a service manager does.
fn end_process(service: &mut Service, event: u64) {
    if event == 0 {
        service.terminate();
        assert!(service.wait().success());
    } else {
        service.kill();
    }
}
