//! `kill -9` during writes with an idempotency key. Each client repeats a write until it is answered.
//! Then each write has happened exactly once, which no client looks up in the database.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::KEY;
use super::stored_rows::{SqliteFile, StoredRows};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, PASSWORD, Service, TestResponse, Wire};

/// The writes of a client, in this order. After each the next one depends on it: a write that
/// happened twice, or not at all, changes a later response.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    VoteUp,
    VoteDown,
    Withdraw,
    Replace,
    Delete,
}

const STEPS: [Step; 6] =
    [Step::Create, Step::VoteUp, Step::VoteDown, Step::Withdraw, Step::Replace, Step::Delete];

pub(super) struct Client {
    name: String,
    token: String,
    /// The number of answered writes. It names the key of the next one.
    writes: usize,
    /// The post of the current steps.
    post: i64,
    /// The posts that are not deleted. Every other post stays.
    posts: BTreeMap<i64, String>,
    repeated: usize,
    replayed: usize,
    /// Whether the next write was sent before, without an answer.
    is_pending: bool,
}

impl Client {
    /// Signs up with a key, and logs in.
    pub(super) fn new(number: usize, service: &Service) -> Self {
        let name = format!("keyed{number}");
        let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let mut first = None;
        for replayed in ["", "true"] {
            let mut wire = service.connect();
            let key = "idempotency-key: sign-up\r\n";
            let response = wire.call_with("POST", "/users", "", key, Some(&account)).unwrap();
            let response = response.expect(201);
            assert_eq!(response.header("idempotent-replayed"), replayed);
            assert_eq!(first.get_or_insert(response.json()), &response.json());
        }
        let token = service.log_in(&format!("{name}@example.com"));
        let (writes, posts) = (0, BTreeMap::new());
        Self { name, token, writes, post: 0, posts, repeated: 0, replayed: 0, is_pending: false }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Returns the number of answered writes.
    pub(super) fn answered(clients: &[Self]) -> usize {
        clients.iter().map(|client| client.writes).sum()
    }

    /// Returns whether the last write has no answer yet.
    pub(super) fn is_pending(&self) -> bool {
        self.is_pending
    }

    fn step(&self) -> Step {
        STEPS[self.writes % STEPS.len()]
    }

    fn title(&self) -> String {
        format!("{}-{}", self.name, self.writes / STEPS.len())
    }

    /// Writes until the connection fails, and reports each answer.
    fn write_until_disconnected(&mut self, address: &str, acknowledged: &Sender<()>) {
        let Ok(mut wire) = Wire::try_connect(address) else { return };
        while self.write(&mut wire).is_ok() {
            // The receiver stops counting once the round ends.
            let _ = acknowledged.send(());
        }
    }

    /// Repeats the write that was not answered.
    fn settle(&mut self, service: &Service) {
        while self.is_pending {
            // After a 503 the write is repeated.
            let _ = self.write(&mut service.connect());
        }
    }

    /// Sends the next write, or the same one again, and compares its response.
    pub(super) fn write(&mut self, wire: &mut Wire) -> io::Result<()> {
        let (post, title) = (self.post, self.title());
        let vote = |dir: i64| json!({"post_id": post, "dir": dir});
        let path = format!("/posts/{post}");
        let (method, path, body, status) = match self.step() {
            Step::Create => ("POST", "/posts", Some(json!({"title": title, "content": "a"})), 201),
            Step::VoteUp => ("POST", "/vote", Some(vote(1)), 201),
            Step::VoteDown => ("POST", "/vote", Some(vote(-1)), 201),
            Step::Withdraw => ("POST", "/vote", Some(vote(0)), 201),
            Step::Replace => ("PUT", &*path, Some(json!({"title": title, "content": "b"})), 200),
            Step::Delete if self.keeps_post() => ("GET", &*path, None, 200),
            Step::Delete => ("DELETE", &*path, None, 204),
        };
        let key = format!("idempotency-key: \"{}\"\r\n", self.writes);
        self.repeated += usize::from(self.is_pending);
        self.is_pending = true;
        let response = wire.call_with(method, path, &self.token, &key, body.as_ref())?;
        if response.status == 503 {
            return Err(io::Error::other("unavailable"));
        }
        self.accept(&response.expect(status));
        self.is_pending = false;
        self.writes += 1;
        Ok(())
    }

    /// Whether the post of the current steps stays.
    fn keeps_post(&self) -> bool {
        (self.writes / STEPS.len()).is_multiple_of(2)
    }

    fn accept(&mut self, response: &TestResponse) {
        self.replayed += usize::from(response.header("idempotent-replayed") == "true");
        let title = self.title();
        let message = |text: &str| {
            assert_eq!(response.json(), json!({"message": text}), "{title}");
        };
        match self.step() {
            Step::Create => {
                let post: Value = response.json();
                assert_eq!(post["title"], title);
                self.post = post["id"].as_i64().unwrap();
                self.posts.insert(self.post, title);
            }
            Step::VoteUp => message("successfully added vote"),
            Step::VoteDown => message("successfully changed vote"),
            Step::Withdraw => message("successfully deleted vote"),
            Step::Replace => assert_eq!(response.json()["content"], "b", "{title}"),
            Step::Delete if self.keeps_post() => {}
            Step::Delete => {
                self.posts.remove(&self.post);
            }
        }
    }

    /// Compares the posts and votes in the database with those that were answered.
    fn compare(&self, stored: &dyn StoredRows, seed: &str) {
        let name = &self.name;
        let rows = stored.rows(&format!(
            "SELECT CAST(posts.id AS TEXT), title FROM posts WHERE title LIKE '{name}-%'"
        ));
        let posts: BTreeMap<i64, String> =
            rows.iter().map(|(id, title)| (id.parse().unwrap(), title.clone())).collect();
        assert_eq!(posts, self.posts, "{seed}: posts of {name}");
        let rows = stored.rows(&format!(
            "SELECT CAST(post_id AS TEXT), CAST(dir AS TEXT) FROM votes
               JOIN users ON users.id = votes.user_id WHERE email = '{name}@example.com'"
        ));
        let dir = match self.step() {
            Step::VoteDown => Some("1"),
            Step::Withdraw => Some("-1"),
            Step::Create | Step::VoteUp | Step::Replace | Step::Delete => None,
        };
        let votes = dir.map(|dir| (self.post.to_string(), dir.to_owned()));
        assert_eq!(rows, Vec::from_iter(votes), "{seed}: votes of {name}");
    }
}

/// Lets every client write to its service. After this number of answers it calls `end`.
fn run_round(clients: &mut [Client], addresses: &[&str], answers: u64, end: impl FnOnce()) {
    let (acknowledged, received) = mpsc::channel();
    std::thread::scope(|scope| {
        for (number, client) in clients.iter_mut().enumerate() {
            let (address, acknowledged) =
                (addresses[number % addresses.len()], acknowledged.clone());
            scope.spawn(move || client.write_until_disconnected(address, &acknowledged));
        }
        drop(acknowledged);
        for _ in 0..answers {
            received.recv_timeout(Duration::from_mins(1)).expect("no answer in time");
        }
        end();
    });
}

fn settle(clients: &mut [Client], service: &Service, stored: &dyn StoredRows, seed: &str) {
    for client in clients.iter_mut() {
        client.settle(service);
    }
    stored.check(seed);
    for client in clients.iter() {
        client.compare(stored, seed);
    }
}

fn report(budget: &Budget, clients: &[Client]) {
    let sum = |count: fn(&Client) -> usize| clients.iter().map(count).sum::<usize>();
    let answered = Client::answered(clients);
    assert!(answered > 0, "no write was answered");
    budget.report("rounds", budget.rounds());
    budget.report("writes answered, each done once", answered);
    budget.report("writes repeated after no answer", sum(|client| client.repeated));
    budget.report("of these replayed", sum(|client| client.replayed));
}

/// Long enough for every round, so that a replay never meets an expired token.
pub(super) const LIFETIME: (&str, &str) = ("ACCESS_TOKEN_EXPIRE_MINUTES", "1440");

#[test]
fn repeated_writes_with_keys_survive_kill_9_once() {
    let mut budget = Budget::new("kill -9 with keys, embedded", 4);
    let folder = TempDir::new().unwrap();
    let mut rng = Rng::new(budget.seed());
    let mut service = Service::start_in(folder.path(), &[LIFETIME]);
    let mut clients: Vec<Client> = (0..8).map(|number| Client::new(number, &service)).collect();
    while budget.next_round().is_some() {
        let seed = budget.name_round();
        let address = service.address().to_owned();
        run_round(&mut clients, &[&address], rng.below(150), || service.kill());
        service = Service::start_in(folder.path(), &[LIFETIME]);
        let stored = SqliteFile::open(&folder.path().join("data/posts.db"));
        settle(&mut clients, &service, &stored, &seed);
    }
    report(&budget, &clients);
}

/// One of two processes is killed. Its clients repeat their writes at the other, which may be still
/// waiting for the end of the same write.
#[test]
fn writes_with_keys_repeated_at_another_process_happen_once() {
    let mut budget = Budget::new("kill -9 with keys, PostgreSQL", 2);
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY), LIFETIME];
    let start = || Service::start_in(folder.path(), &settings);
    let mut rng = Rng::new(budget.seed());
    let mut services = [start(), start()];
    let mut clients: Vec<Client> =
        (0..16).map(|number| Client::new(number, &services[0])).collect();
    while budget.next_round().is_some() {
        let seed = budget.name_round();
        let addresses = services.each_ref().map(|service| service.address().to_owned());
        let [killed, other] = &mut services;
        // The clients of the first process only: those of the other have nothing to repeat.
        let answers = rng.below(300);
        run_round(&mut clients, &[&addresses[0]], answers, || killed.kill());
        settle(&mut clients, other, &database, &seed);
        services[0] = start();
        services.reverse();
    }
    report(&budget, &clients);
}
