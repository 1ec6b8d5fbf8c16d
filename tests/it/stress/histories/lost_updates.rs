//! Clients change one post with `If-Match` while others change and vote on it: no acknowledged
//! change is lost, and no change is applied twice.

use std::sync::Arc;

use serde_json::json;

use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Engine, Setup, TestApp, TestCaller, TestResponse};

const CLIENTS: usize = 6;

/// Acknowledged changes of each client in a round.
const CHANGES: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_changes_lose_no_update_on_sqlite() {
    run(Engine::Sqlite, Budget::new("conditional changes, embedded", 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_changes_lose_no_update_on_postgresql() {
    run(Engine::Postgres, Budget::new("conditional changes, PostgreSQL, two replicas", 3)).await;
}

async fn run(engine: Engine, mut budget: Budget) {
    let app = Arc::new(TestApp::set_up(Setup { engine, ..Setup::default() }).await);
    let replica = Arc::new(app.replica());
    let author = app.signed_in("author").await;
    let token = author.token.clone().unwrap();
    let mut refused = 0;
    while let Some(seed) = budget.next_round() {
        let path = format!("/posts/{}", author.write_post("").await);
        let clients = (0..CLIENTS).map(|number| {
            let app = Arc::clone(if number % 2 == 0 { &app } else { &replica });
            let rng = Rng::new(seed.wrapping_add(u64::try_from(number).unwrap()));
            tokio::spawn(append(app, token.clone(), path.clone(), number, rng))
        });
        let mut expected = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            let (appended, attempts) = client.await.unwrap();
            expected.extend(appended);
            refused += attempts;
        }
        let title = title(&author.get(&path).await.expect(200));
        let mut found: Vec<_> = title.split_whitespace().map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", budget.name_round());
    }
    budget
        .report("changes, none lost", budget.rounds() * u64::try_from(CLIENTS * CHANGES).unwrap());
    budget.report("changes refused, because the post had changed", refused);
}

fn title(read: &TestResponse) -> String {
    read.json()["Post"]["title"].as_str().unwrap().to_owned()
}

/// Appends words to the title. Returns them, and how many changes were refused.
async fn append(
    app: Arc<TestApp>,
    token: String,
    path: String,
    number: usize,
    mut rng: Rng,
) -> (Vec<String>, u64) {
    let caller = app.with_token(&token);
    let mut refused = 0;
    let mut appended = Vec::new();
    while appended.len() < CHANGES {
        let read = caller.get(&path).await.expect(200);
        interfere(&caller, &path, &mut rng).await;
        let word = format!("{number}-{}", appended.len());
        let change = json!({"title": format!("{} {word}", title(&read))});
        let request = caller.request("PATCH", &path).header("if-match", read.header("etag"));
        let response = caller.send(request.body(change.to_string().into()).unwrap()).await;
        if response.status == 412 {
            refused += 1;
        } else {
            response.expect(200);
            appended.push(word);
        }
    }
    (appended, refused)
}

/// Sometimes votes, which no condition sees, or changes the content, which each one must see.
async fn interfere(caller: &TestCaller<'_>, path: &str, rng: &mut Rng) {
    match rng.below(6) {
        0 => {
            let post = path.rsplit('/').next().unwrap().parse().unwrap();
            caller.vote(post, *rng.pick(&[-1, 0, 1])).await;
        }
        1 => {
            let content = json!({"content": rng.below(1_000_000).to_string()});
            caller.patch(path, &content).await.expect(200);
        }
        _ => {}
    }
}
