//! Clients vote on a few posts and read them concurrently, and record which response each got and
//! when. For each post, one order of all calls must explain all responses, and a call that ended
//! before another started must come first: the votes are linearizable (Herlihy and Wing, 1990). On
//! PostgreSQL the clients use two replicas of the service.

mod checker;
mod lost_updates;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::checker::{Event, Outcome, is_linearizable};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Engine, Setup, TestApp, TestResponse};

const POSTS: usize = 3;
const VOTERS: usize = 4;

/// Two clients per voter, so that votes of one user race too.
const CLIENTS: usize = 2 * VOTERS;

/// Calls of each client in a round.
const CALLS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_are_linearizable_on_sqlite() {
    run(Engine::Sqlite, Budget::new("histories, embedded", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_are_linearizable_on_postgresql() {
    run(Engine::Postgres, Budget::new("histories, PostgreSQL, two replicas", 2)).await;
}

async fn run(engine: Engine, mut budget: Budget) {
    let app = Arc::new(TestApp::set_up(Setup { engine, ..Setup::default() }).await);
    let replica = Arc::new(app.replica());
    let mut voters = Vec::new();
    for number in 0..VOTERS {
        voters.push(app.signed_in(&format!("voter{number}")).await.token.unwrap());
    }
    let author = app.signed_in("author").await;
    let mut events = 0;
    while let Some(seed) = budget.next_round() {
        let mut posts = Vec::new();
        for _ in 0..POSTS {
            posts.push(author.write_post("post").await);
        }
        let time = Arc::new(AtomicU64::new(0));
        let clients = (0..CLIENTS).map(|number| {
            let voter = number / 2;
            tokio::spawn(run_client(Client {
                app: Arc::clone(if number % 2 == 0 { &app } else { &replica }),
                voter,
                token: voters[voter].clone(),
                posts: posts.clone(),
                rng: Rng::new(seed.wrapping_add(u64::try_from(number).unwrap())),
                time: Arc::clone(&time),
            }))
        });
        let mut history = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            history.extend(client.await.unwrap());
        }
        for post in posts {
            let of_post: Vec<Event> =
                history.iter().filter(|(of, _)| *of == post).map(|(_, event)| *event).collect();
            events += of_post.len();
            assert!(is_linearizable(VOTERS, &of_post), "{}: {of_post:#?}", budget.name_round());
        }
    }
    budget.report("histories, each linearizable", budget.rounds() * u64::try_from(POSTS).unwrap());
    budget.report("calls in them", events);
}

struct Client {
    app: Arc<TestApp>,
    voter: usize,
    token: String,
    posts: Vec<i64>,
    rng: Rng,
    time: Arc<AtomicU64>,
}

/// Returns the calls of the client, each with its post.
async fn run_client(mut client: Client) -> Vec<(i64, Event)> {
    let app = Arc::clone(&client.app);
    let caller = app.with_token(&client.token);
    let now = || client.time.fetch_add(1, Ordering::SeqCst);
    let mut recorded = Vec::new();
    for _ in 0..CALLS {
        let post = *client.rng.pick(&client.posts);
        let choice = client.rng.below(10);
        let started = now();
        if choice == 0 {
            let list = caller.get("/posts?limit=3").await.expect(200);
            let ended = now();
            for (post, votes) in listed(&list) {
                recorded.push((post, Event { started, ended, outcome: Outcome::Read { votes } }));
            }
            continue;
        }
        let outcome = if choice < 4 {
            Outcome::Read { votes: caller.votes(post).await }
        } else {
            let dir = *client.rng.pick(&[-1, 0, 1]);
            let response = caller.vote(post, dir).await;
            Outcome::Vote { voter: client.voter, dir, response: vote_response(&response) }
        };
        recorded.push((post, Event { started, ended: now(), outcome }));
    }
    recorded
}

fn listed(list: &TestResponse) -> Vec<(i64, i64)> {
    let list = list.json();
    let posts = list.as_array().unwrap().iter();
    posts
        .map(|post| (post["Post"]["id"].as_i64().unwrap(), post["votes"].as_i64().unwrap()))
        .collect()
}

fn vote_response(response: &TestResponse) -> checker::VoteResponse {
    use checker::VoteResponse::{Added, AlreadyCast, Changed, NotCast, Withdrawn};
    let body = response.json();
    match (response.status.as_u16(), body["message"].as_str(), body["detail"].as_str()) {
        (201, Some("successfully added vote"), _) => Added,
        (201, Some("successfully changed vote"), _) => Changed,
        (201, Some("successfully deleted vote"), _) => Withdrawn,
        (404, _, Some("Vote does not exist")) => NotCast,
        (409, ..) => AlreadyCast,
        _ => panic!("{response:?}"),
    }
}
