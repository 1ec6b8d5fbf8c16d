//! Well-behaved clients during an attack.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{PASSWORD, Service, TestResponse, Wire};

/// The progress of the well-behaved client, as an attack sees it.
pub(super) struct Progress {
    answered: AtomicUsize,
    over: AtomicBool,
}

impl Progress {
    /// Waits until the client got this many more responses. Fails after two minutes.
    #[track_caller]
    pub(super) fn wait_for_responses(&self, responses: usize) {
        let enough = self.answered.load(Ordering::SeqCst) + responses;
        for _ in 0..6000 {
            if self.answered.load(Ordering::SeqCst) >= enough {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the well-behaved client gets no responses");
    }
}

/// Stops the client, also if the attack fails.
struct StopOnDrop<'a>(&'a Progress);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

/// An account that is used during an attack, on one connection.
pub(super) struct WellBehavedClient {
    address: String,
    wire: Option<Wire>,
    pub(super) token: String,
    rounds: usize,
    times: Vec<Duration>,
}

impl WellBehavedClient {
    pub(super) fn sign_up(service: &Service, name: &str) -> Self {
        let mut wire = service.connect();
        let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        let response = service.connect().exchange(login_request(name, PASSWORD)).expect(200);
        let token = response.json()["access_token"].as_str().unwrap().to_owned();
        let address = service.address().to_owned();
        Self { address, wire: None, token, rounds: 0, times: Vec::new() }
    }

    /// Continues with a service that was started in the same folder.
    pub(super) fn switch_to(&mut self, service: &Service) {
        service.address().clone_into(&mut self.address);
    }

    /// Runs the attack while the client works, and the client once more afterwards.
    pub(super) fn run_during<T>(&mut self, attack: impl FnOnce(&Progress) -> T) -> T {
        let progress = Progress { answered: AtomicUsize::new(0), over: AtomicBool::new(false) };
        self.wire = Some(Wire::connect(&self.address));
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !progress.over.load(Ordering::SeqCst) {
                    self.run_once(&progress);
                }
            });
            let _over = StopOnDrop(&progress);
            progress.wait_for_responses(1);
            attack(&progress)
        });
        self.run_once(&progress);
        self.wire = None;
        outcome
    }

    /// Creates a post, votes for it, reads it, and deletes it.
    fn run_once(&mut self, progress: &Progress) {
        self.rounds += 1;
        let title = format!("round {}", self.rounds);
        let post = json!({"title": title, "content": "as ever"});
        let id = self.call(progress, "POST", "/posts", Some(&post), 201)["id"].as_i64().unwrap();
        let path = format!("/posts/{id}");
        self.call(progress, "POST", "/vote", Some(&json!({"post_id": id, "dir": 1})), 201);
        let read = self.call(progress, "GET", &path, None, 200);
        assert_eq!((&read["Post"]["title"], &read["votes"]), (&json!(title), &json!(1)));
        let list = self.call(progress, "GET", "/posts?limit=1", None, 200);
        assert_eq!(list[0]["Post"]["id"], id);
        let response = self.timed(progress, "DELETE", &path, None);
        assert_eq!(response.status, 204);
    }

    fn call(
        &mut self,
        progress: &Progress,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
        status: u16,
    ) -> serde_json::Value {
        self.timed(progress, method, path, body).expect(status).json()
    }

    fn timed(
        &mut self,
        progress: &Progress,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> TestResponse {
        let start = Instant::now();
        let response = self.wire.as_mut().unwrap().call(method, path, &self.token, body).unwrap();
        self.times.push(start.elapsed());
        progress.answered.fetch_add(1, Ordering::SeqCst);
        response
    }

    /// Returns the durations of its responses, for a report.
    pub(super) fn describe(&self) -> String {
        describe(&self.times)
    }
}

/// Returns a login request that closes its connection.
pub(super) fn login_request(name: &str, password: &str) -> String {
    let password = password.replace(' ', "+");
    let form = format!("username={name}@example.com&password={password}");
    format!(
        "POST /login HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    )
}

/// Returns the median, the 99th percentile and the longest.
pub(super) fn describe(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    let Some(longest) = times.last() else { return "none".to_owned() };
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let count = times.len();
    format!("{count}: median {median:.1?}, 99th percentile {late:.1?}, longest {longest:.1?}")
}
