//! Six writers and three readers, over both processes of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::history::{History, Process, Register, Written, direction};
use super::patroni::wait_until;
use crate::support::{PASSWORD, Service, TestResponse, Wire};

pub(super) const WRITERS: usize = 6;
const READERS: usize = 3;

/// Acknowledged writes of a process that show that it works.
const PROGRESS: usize = 50;

/// The pause of a client after each request. Without it the clients would take the processors from
/// Patroni.
const WRITER_PAUSE: Duration = Duration::from_millis(20);
const READER_PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Clients {
    history: Arc<History>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Creates the accounts through the service, and starts the clients.
    pub(super) fn start(services: [&Service; 2]) -> Self {
        let mut history = History::default();
        let mut tokens = Vec::new();
        for number in 0..WRITERS {
            let (token, post) = sign_up(services[0], number);
            history.written.push(Written { post, ..Written::default() });
            tokens.push(token);
        }
        let history = Arc::new(history);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = Self { history, is_over, threads: Vec::new() };
        for (process, service) in services.into_iter().enumerate() {
            clients.replace(process, service);
        }
        for number in 0..WRITERS + READERS {
            let mut client = Client {
                history: Arc::clone(&clients.history),
                process: number % 2,
                token: tokens[number % WRITERS].clone(),
                wire: None,
                turn: number,
                key: (number < WRITERS / 2).then_some(number),
            };
            let is_over = Arc::clone(&clients.is_over);
            clients.threads.push(std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    if number < WRITERS {
                        client.write(number);
                        std::thread::sleep(WRITER_PAUSE);
                    } else {
                        client.read();
                        std::thread::sleep(READER_PAUSE);
                    }
                }
            }));
        }
        clients
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Sends the clients of a process to another one.
    pub(super) fn replace(&self, process: usize, service: &Service) {
        service.address().clone_into(&mut self.history.processes[process].address.lock().unwrap());
    }

    /// Waits until each of these processes has acknowledged more writes.
    pub(super) fn progress(&self, processes: &[usize]) {
        let counts = || self.history.processes.each_ref().map(Process::count_writes);
        let before = counts();
        wait_until("writes are acknowledged", || {
            let now = counts();
            processes.iter().all(|process| now[*process] >= before[*process] + PROGRESS)
        });
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a client failed");
        }
    }
}

/// Creates an account with a post. Returns its token and the post.
fn sign_up(service: &Service, number: usize) -> (String, i64) {
    let email = format!("writer{number}@example.com");
    let account = json!({"email": email, "password": PASSWORD});
    let mut wire = service.connect();
    wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in(&email);
    let created = wire.call("POST", "/posts", &token, Some(&content(0))).unwrap().expect(201);
    let post = number_at(&created.json(), "/id");
    // The votes begin with a vote.
    let vote = json!({"post_id": post, "dir": direction(0)});
    wire.call("POST", "/vote", &token, Some(&vote)).unwrap().expect(201);
    (token, post)
}

fn content(number: i64) -> Value {
    json!({"title": "title", "content": number.to_string()})
}

fn number_at(body: &Value, pointer: &str) -> i64 {
    body.pointer(pointer).and_then(Value::as_i64).unwrap_or_else(|| panic!("{pointer}: {body}"))
}

struct Client {
    history: Arc<History>,
    process: usize,
    token: String,
    wire: Option<Wire>,
    turn: usize,
    /// The first part of its idempotency keys. Without it, the client sends none.
    key: Option<usize>,
}

impl Client {
    /// Sends the request. Returns `None` after a failure, with which a client must reckon.
    fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Option<TestResponse> {
        let process = &self.history.processes[self.process];
        let address = process.address.lock().unwrap().clone();
        let key = self.key.filter(|_| body.is_some());
        let header = key.map(|key| format!("idempotency-key: {key}-{}\r\n", self.turn));
        let kind = if key.is_some() { " with a key" } else { "" };
        let header = header.unwrap_or_default();
        let wire = self.wire.take().map_or_else(|| Wire::try_connect(&*address), Ok);
        let answer = wire.and_then(|mut wire| {
            let response = wire.call_with(method, path, &self.token, &header, body)?;
            if response.header("connection") != "close" {
                self.wire = Some(wire);
            }
            Ok(response)
        });
        match answer {
            Ok(response) if response.status == 503 => {
                process.record_failure(format!("{method} {path}{kind}: {}", response.detail()));
                None
            }
            Ok(response) => Some(response),
            Err(error) => {
                process.record_failure(format!("{method} {path}{kind}: {error}"));
                None
            }
        }
    }

    fn write(&mut self, number: usize) {
        self.turn += 1;
        let history = Arc::clone(&self.history);
        let written = &history.written[number];
        let done = match self.turn % 3 {
            0 => self.write_content(written),
            1 => self.write_post(&history),
            _ => self.vote(written),
        };
        if done.is_some() {
            history.processes[self.process].record_write();
        }
    }

    fn write_content(&mut self, written: &Written) -> Option<()> {
        let value = written.content.next();
        let path = format!("/posts/{}", written.post);
        let response = self.call("PUT", &path, Some(&content(value)))?;
        self.expect(&response, &[200])?;
        written.content.acknowledge(value);
        Some(())
    }

    fn write_post(&mut self, history: &History) -> Option<()> {
        let response = self.call("POST", "/posts", Some(&content(0)))?;
        self.expect(&response, &[201])?;
        let post = number_at(&response.json(), "/id");
        history.posts.lock().unwrap().insert(post);
        history.newest.acknowledge(post);
        Some(())
    }

    fn vote(&mut self, written: &Written) -> Option<()> {
        let number = written.vote.next();
        let vote = json!({"post_id": written.post, "dir": direction(number)});
        let response = self.call("POST", "/vote", Some(&vote))?;
        // 409: an earlier vote without a response was done.
        self.expect(&response, &[201, 409])?;
        written.vote.acknowledge(number);
        Some(())
    }

    fn read(&mut self) {
        self.turn += 1;
        let history = Arc::clone(&self.history);
        let done = match self.turn % 4 {
            0 => self.read_newest(&history),
            1 => self.list(&history),
            turn => self.read_written(&history.written[(self.turn + turn) % WRITERS]),
        };
        if done.is_some() {
            history.processes[self.process].record_read();
        }
    }

    fn read_written(&mut self, written: &Written) -> Option<()> {
        let (content, vote) = (written.content.acknowledged(), written.vote.acknowledged());
        let response = self.call("GET", &format!("/posts/{}", written.post), None)?;
        self.expect(&response, &[200])?;
        let body = response.json();
        let found = body.pointer("/Post/content").and_then(Value::as_str).unwrap();
        let found = found.parse().unwrap();
        self.check("content", content, &written.content, found);
        let votes = number_at(&body, "/votes");
        // Two further votes allow both directions.
        let sent = vote..=written.vote.sent().min(vote + 1);
        if sent.clone().all(|number| direction(number) != votes) {
            self.record_stale(&format!("votes {votes} after vote {sent:?}"));
        }
        Some(())
    }

    fn read_newest(&mut self, history: &History) -> Option<()> {
        let post = history.newest.acknowledged();
        if post == 0 {
            return None;
        }
        let response = self.call("GET", &format!("/posts/{post}"), None)?;
        self.expect(&response, &[200, 404])?;
        if response.status == 404 {
            self.record_stale(&format!("no post {post}"));
        }
        Some(())
    }

    fn list(&mut self, history: &History) -> Option<()> {
        let newest = history.newest.acknowledged();
        let response = self.call("GET", "/posts?limit=10", None)?;
        self.expect(&response, &[200])?;
        let body = response.json();
        let ids = body.as_array().unwrap().iter().map(|post| number_at(post, "/Post/id"));
        let found = ids.max().unwrap_or_default();
        if found < newest {
            self.record_stale(&format!("a list up to post {found} after post {newest}"));
        }
        Some(())
    }

    fn check(&self, name: &str, acknowledged: i64, register: &Register, found: i64) {
        if found < acknowledged {
            self.record_stale(&format!("{name} {found} after {acknowledged}"));
        }
        if found > register.sent() {
            self.history.record_wrong(format!("{name} {found} was never sent"));
        }
    }

    fn record_stale(&self, read: &str) {
        self.history.processes[self.process].record_stale(read.to_owned());
    }

    fn expect(&self, response: &TestResponse, statuses: &[u16]) -> Option<()> {
        if statuses.contains(&response.status.as_u16()) {
            return Some(());
        }
        self.history.record_wrong(format!("{} {}", response.status, response.text()));
        None
    }
}
