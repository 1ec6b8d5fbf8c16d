//! Clients of the stream of changes keep a copy of the list while others write at random, and lose
//! their streams at random places. At the end each copy equals the list, and no client has seen a
//! draft.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::budget::Budget;
use super::followed_list::{FollowedList, Wanted};
use super::rng::Rng;
use crate::support::{Engine, EventStream, Setup, TestApp, TestCaller};

/// The title of every draft, which no client may see.
const DRAFT: &str = "draft-canary";

/// Each client loses its stream after one of so many blocks.
const LOSSES: u64 = 12;

/// The time that a copy may take to become equal after the last write.
const CATCH_UP: Duration = Duration::from_mins(1);

#[tokio::test]
async fn copies_of_clients_equal_the_list_on_sqlite() {
    run(Engine::Sqlite, Budget::new("live, embedded", 1)).await;
}

#[tokio::test]
async fn copies_of_clients_equal_the_list_on_postgresql() {
    run(Engine::Postgres, Budget::new("live, PostgreSQL", 1)).await;
}

async fn run(engine: Engine, mut budget: Budget) {
    let (writers, clients) = (4, budget.size(4, 12));
    let changes = budget.size(60, 1_500);
    let (mut written, mut streams) = (0, 0);
    while let Some(seed) = budget.next_round() {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let replica = app.replica();
        let mut callers = Vec::new();
        for number in 0..writers {
            callers.push(app.signed_in(&format!("writer{number}")).await);
        }
        let reader = app.signed_in("reader").await;
        let follower = app.signed_in("follower").await;
        let (posts, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        let write = async {
            let all = (seed..)
                .zip(&callers)
                .map(|(seed, caller)| write_at_random(caller, Rng::new(seed), changes, &posts));
            join_all(all).await;
            is_over.store(true, Ordering::SeqCst);
        };
        let follow = join_all((0..clients).map(|number| {
            // An account has ten streams.
            let token = if number % 2 == 0 { &reader } else { &follower };
            let apps = [&app, &replica];
            let seed = seed.wrapping_mul(31).wrapping_add(u64::try_from(number).unwrap());
            Follower::new(apps, token, Rng::new(seed)).follow(&reader, &is_over)
        }));
        let ((), opened) = tokio::join!(write, follow);
        streams += opened.iter().sum::<usize>();
        written += changes * writers;
    }
    budget.report("writes that clients followed", written);
    budget.report("streams", streams);
}

/// Creates, publishes, withdraws, changes, votes on and deletes posts.
async fn write_at_random(
    caller: &TestCaller<'_>,
    mut rng: Rng,
    writes: usize,
    posts: &Mutex<Vec<i64>>,
) {
    let mut own: Vec<i64> = Vec::new();
    for number in 0..writes {
        let published = rng.below(3) > 0;
        let title = if published { format!("post {number}") } else { DRAFT.to_owned() };
        let length = if rng.below(10) == 0 { 5_000 } else { 10 };
        let text = json!({"title": title, "content": "x".repeat(length), "published": published});
        let any = {
            let posts = posts.lock().unwrap();
            (!posts.is_empty()).then(|| *rng.pick(&posts))
        };
        let mine = (!own.is_empty()).then(|| *rng.pick(&own));
        match (rng.below(10), mine, any) {
            (0, Some(id), _) => {
                caller.delete(&format!("/posts/{id}")).await.expect(204);
                own.retain(|other| *other != id);
            }
            (1..=3, Some(id), _) => {
                caller.put(&format!("/posts/{id}"), &text).await.expect(200);
            }
            (4..=7, _, Some(id)) => {
                let dir = i64::try_from(rng.below(3)).unwrap() - 1;
                caller.vote(id, dir).await;
            }
            _ => {
                let created = caller.post("/posts", &text).await.expect(201).json();
                let id = created["id"].as_i64().unwrap();
                own.push(id);
                posts.lock().unwrap().push(id);
            }
        }
    }
}

async fn list(caller: &TestCaller<'_>) -> FollowedList {
    let mut items = Vec::new();
    loop {
        let path = format!("/posts?limit=1000&published=true&skip={}", items.len());
        let page = caller.get(&path).await.expect(200).json();
        let page = page.as_array().unwrap();
        items.extend_from_slice(page);
        if page.len() < 1000 {
            return FollowedList::of(&items);
        }
    }
}

struct Follower<'a> {
    apps: [&'a TestApp; 2],
    caller: &'a TestCaller<'a>,
    rng: Rng,
    copy: FollowedList,
    last_id: String,
    opened: usize,
}

impl<'a> Follower<'a> {
    fn new(apps: [&'a TestApp; 2], caller: &'a TestCaller<'a>, rng: Rng) -> Self {
        Self { apps, caller, rng, copy: FollowedList::default(), last_id: String::new(), opened: 0 }
    }

    /// Follows until the writers are done and the copy equals the list. Returns the number of streams.
    async fn follow(mut self, reader: &TestCaller<'_>, is_over: &AtomicBool) -> usize {
        let mut ends_at = None;
        loop {
            let mut stream = self.open().await;
            loop {
                let is_lost = self.rng.below(LOSSES) == 0 && ends_at.is_none();
                match timeout(Duration::from_millis(300), stream.block()).await {
                    Ok(Some(block)) => self.apply(&block).await,
                    Ok(None) => break,
                    Err(_) => {}
                }
                self.last_id.clone_from(&stream.last_id);
                if is_lost {
                    break;
                }
                if is_over.load(Ordering::SeqCst) {
                    let end = *ends_at.get_or_insert_with(|| Instant::now() + CATCH_UP);
                    let expected = list(reader).await;
                    if self.copy == expected {
                        assert!(!stream.read.contains(DRAFT), "{}", stream.read);
                        return self.opened;
                    }
                    assert!(Instant::now() < end, "{}", self.copy.describe_difference(&expected));
                }
            }
            assert!(!stream.read.contains(DRAFT), "{}", stream.read);
        }
    }

    /// Opens a stream at one of the processes, after the last event or sometimes anew.
    async fn open(&mut self) -> EventStream {
        self.opened += 1;
        if self.rng.below(8) == 0 {
            self.last_id.clear();
        }
        let app = self.apps[usize::try_from(self.rng.below(2)).unwrap()];
        let request = self.caller.request("GET", "/posts/changes");
        let request = request.header("last-event-id", &self.last_id);
        let mut stream =
            EventStream::open(app.routes(), request.body(Body::empty()).unwrap()).await;
        stream.last_id.clone_from(&self.last_id);
        stream
    }

    async fn apply(&mut self, block: &str) {
        match self.copy.apply(block) {
            Wanted::Nothing => {}
            Wanted::List => self.copy = list(self.caller).await,
            Wanted::Post(id) => {
                let response = self.caller.get(&format!("/posts/{id}")).await;
                // The deletion of a post that is gone comes in a later event.
                if response.status == 200 {
                    self.copy.insert(&response.json());
                }
            }
        }
    }
}
