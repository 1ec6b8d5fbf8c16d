//! Long work of some clients against the short requests of all others, on PostgreSQL: searches,
//! deep pages, lists without a limit, and clients that leave before the answer.
//!
//! Another load is the deletion of an account whose posts are the newest: each list would read all of
//! them.
//!
//! The others get no 503 and no 500. The long form runs with a million posts and reports how much
//! slower the others are than without an attack; no test depends on that figure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::budget::Budget;
use crate::support::{Cluster, PASSWORD, PostgresDatabase, Service};

const KEY: &str = "7d52e0b9a4c8136f5b0e9d7a2c41f863";

/// One attack. Each client repeats its request until the others are done.
struct Attack {
    name: &'static str,
    clients: usize,
    /// Returns the path that this client requests.
    path: fn(client: usize, posts: usize) -> String,
    leaves: bool,
}

const fn attack(name: &'static str, clients: usize, path: fn(usize, usize) -> String) -> Attack {
    Attack { name, clients, path, leaves: false }
}

/// The titles have these words in another order, so the index returns every post.
fn hostile_search(_client: usize, _posts: usize) -> String {
    "/posts?limit=10&search=ships%20and%20compilers".to_owned()
}

const ATTACKS: [Attack; 5] = [
    attack("16 searches", 16, hostile_search),
    attack("16 searches of drafts", 16, |_, _| {
        "/posts?limit=10&published=false&search=ships%20and%20compilers".to_owned()
    }),
    attack("16 searches for two letters", 16, |_, _| "/posts?limit=10&search=qq".to_owned()),
    attack("64 pages behind 9,000 posts", 64, |client, _| {
        format!("/posts?limit=10&skip={}", 9000 + client)
    }),
    Attack { leaves: true, ..attack("16 searches whose clients leave", 16, hostile_search) },
];

/// With `COMPAT=reference`, where a list has no bound.
const REFERENCE_ATTACKS: [Attack; 4] = [
    attack("16 searches", 16, hostile_search),
    attack("64 pages behind half of the posts", 64, |client, posts| {
        format!("/posts?limit=10&skip={}", posts / 2 + client)
    }),
    attack("4 lists without a limit", 4, |_, _| "/posts".to_owned()),
    attack("4 searches without a limit", 4, |_, _| "/posts?search=sailing".to_owned()),
];

struct Target<'a> {
    database: PostgresDatabase<'a>,
    service: Service,
    token: String,
    posts: usize,
}

impl<'a> Target<'a> {
    /// Fills a database and starts the service on it.
    fn start(cluster: &'a Cluster, posts: usize, mode: &str) -> Self {
        let database = cluster.database();
        let service = Service::start(&[
            ("DATABASE_URL", database.url()),
            ("SECRET_KEY", KEY),
            ("COMPAT", mode),
        ]);
        let account = json!({"email": "ada@example.com", "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        let token = service.log_in("ada@example.com");
        database.execute(&format!(
            "INSERT INTO posts (title, content, published, created_at, owner_id)
             SELECT 'About compilers and sailing ships, part ' || number,
                    'A text of some words, number ' || number, number % 10 <> 0, now(), id
               FROM users, generate_series(1, {posts}) AS number"
        ));
        database.execute("VACUUM ANALYZE posts");
        Self { database, service, token, posts }
    }

    /// Closes an account with the newest posts. Its posts are deleted in the background.
    fn close_account_with_newest_posts(&self, posts: usize) {
        let account = json!({"email": "eve@example.com", "password": PASSWORD});
        self.service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        let token = self.service.log_in("eve@example.com");
        self.database.execute(&format!(
            "INSERT INTO posts (title, content, owner_id)
             SELECT 'Import ' || number, 'text', id
               FROM users, generate_series(1, {posts}) AS number
              WHERE email = 'eve@example.com'"
        ));
        self.service.connect().call("DELETE", "/users/me", &token, None).unwrap().expect(204);
    }

    /// Sends the requests of the others and returns their durations. Each must be answered.
    fn run_others(&self, rounds: usize, what: &str) -> Vec<Duration> {
        let ids = self.database.query("SELECT id FROM posts WHERE published ORDER BY id LIMIT 50");
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|client| {
                    scope.spawn({
                        let ids = &ids;
                        move || self.run_other(client, rounds, ids, what)
                    })
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        })
    }

    fn run_other(&self, client: usize, rounds: usize, ids: &[String], what: &str) -> Vec<Duration> {
        let mut wire = self.service.connect();
        let mut times = Vec::new();
        for round in 0..rounds {
            let id = &ids[(client + 4 * round) % ids.len()];
            let dir = if round % 2 == 0 { 1 } else { -1 };
            let vote = json!({"post_id": id.parse::<i64>().unwrap(), "dir": dir});
            for (method, path, body) in [
                ("GET", format!("/posts/{id}"), None),
                ("GET", "/posts?limit=10".to_owned(), None),
                ("GET", "/users/me".to_owned(), None),
                ("POST", "/vote".to_owned(), Some(&vote)),
            ] {
                let start = Instant::now();
                let response = wire.call(method, &path, &self.token, body).unwrap();
                times.push(start.elapsed());
                // Another client may have cast the same vote.
                let is_answered = [200, 201, 409].contains(&response.status.as_u16());
                assert!(is_answered, "{what}: {method} {path}: {}", response.status);
            }
        }
        times
    }

    /// Runs the attacks until the others are done, and returns the durations of the others and the
    /// number of answers that the attackers got: all, and those with 503.
    fn run_attacks(&self, attacks: &[Attack], rounds: usize) -> (Vec<Duration>, usize, usize) {
        let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let refused = AtomicUsize::new(0);
        let names: Vec<_> = attacks.iter().map(|attack| attack.name).collect();
        let times = std::thread::scope(|scope| {
            for attack in attacks {
                for client in 0..attack.clients {
                    let (is_over, answered, refused) = (&is_over, &answered, &refused);
                    scope.spawn(move || {
                        let path = (attack.path)(client, self.posts);
                        while !is_over.load(Ordering::SeqCst) {
                            let status = self.attack_once(&path, attack.leaves);
                            answered.fetch_add(1, Ordering::SeqCst);
                            refused.fetch_add(usize::from(status == 503), Ordering::SeqCst);
                            assert!([200, 503].contains(&status), "{}: {status}", attack.name);
                        }
                    });
                }
            }
            let _over = StopOnDrop(&is_over);
            // The attack has begun.
            while answered.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            self.run_others(rounds, &names.join(", "))
        });
        (times, answered.into_inner(), refused.into_inner())
    }

    /// Sends one request and returns the status of its answer. A client that leaves gets none.
    fn attack_once(&self, path: &str, leaves: bool) -> u16 {
        let mut wire = self.service.connect();
        if leaves {
            let token = &self.token;
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");
            wire.send(request);
            std::thread::sleep(Duration::from_millis(5));
            return 200;
        }
        // Clients that leave can use up the connections of their network, so later ones are closed.
        let Ok(response) = wire.call("GET", path, &self.token, None) else { return 503 };
        assert!(response.status != 503 || response.headers.contains_key("retry-after"));
        response.status.as_u16()
    }
}

/// Stops the attackers, also if a test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Returns the 99th percentile.
fn late(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

fn run(part: &'static str, mode: &str, attacks: &[Attack]) {
    let mut budget = Budget::new(part, 1);
    let (posts, rounds) = (budget.size(12_000, 1_000_000), budget.size(2, 250));
    let own = budget.is_long().then(|| Cluster::start("shared_buffers = 512MB\n"));
    let target = Target::start(own.as_ref().unwrap_or_else(|| Cluster::shared()), posts, mode);
    target.run_others(rounds, "warm-up");
    let quiet = late(target.run_others(rounds, "quiet"));
    budget.report("others, quiet, 99th percentile", format!("{quiet:.1?}"));
    while budget.next_round().is_some() {
        let alone = attacks.iter().map(std::slice::from_ref);
        for attacks in alone.chain([attacks]) {
            let (times, answered, refused) = target.run_attacks(attacks, rounds);
            let late = late(times);
            let name = if let [attack] = attacks { attack.name } else { "all together" };
            let ratio = late.as_secs_f64() / quiet.as_secs_f64();
            budget.report(
                name,
                format!(
                    "others' 99th percentile {late:.1?}, {ratio:.1} times quiet; \
                     {answered} attacks, {refused} refused"
                ),
            );
        }
    }
    target.service.get("/readyz").expect(200);
}

#[test]
fn others_are_answered_during_long_work() {
    run("long work", "", &ATTACKS);
}

#[test]
fn others_are_answered_during_long_work_of_the_reference_mode() {
    run("long work, reference mode", "reference", &REFERENCE_ATTACKS);
}

#[test]
fn others_are_answered_during_the_deletion_of_the_newest_posts() {
    let mut budget = Budget::new("deletion of the newest posts", 1);
    let (posts, rounds) = (budget.size(12_000, 1_000_000), budget.size(2, 250));
    let own = budget.is_long().then(|| Cluster::start("shared_buffers = 512MB\n"));
    let target = Target::start(own.as_ref().unwrap_or_else(|| Cluster::shared()), posts, "");
    target.run_others(rounds, "warm-up");
    let quiet = late(target.run_others(rounds, "quiet"));
    budget.report("others, quiet, 99th percentile", format!("{quiet:.1?}"));
    while budget.next_round().is_some() {
        target.close_account_with_newest_posts(posts * 6 / 5);
        let late = late(target.run_others(rounds, "deletion"));
        let ratio = late.as_secs_f64() / quiet.as_secs_f64();
        let left = target.database.query("SELECT count(*) FROM posts WHERE title LIKE 'Import%'");
        budget.report(
            "others during the deletion",
            format!("99th percentile {late:.1?}, {ratio:.1} times quiet; {left:?} posts left"),
        );
    }
    target.service.get("/readyz").expect(200);
}
