//! `kill -9` in the middle of the deletion of a large account. The next process finishes it.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::stored_rows::{SqliteFile, StoredRows};
use super::{KEY, wait_until};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, PASSWORD, Service};

/// Posts of the account in the short form, and in the long one: more slices than its request waits
/// for. Another account has a third as many.
const POSTS: [usize; 2] = [3000, 6000];

/// Adds posts of the accounts 1 and 2, and votes on them. Both databases understand the SQL.
fn fill(first: &str, second: &str, posts: u64) -> String {
    let others = posts / 3;
    format!(
        "INSERT INTO posts (title, content, created_at, owner_id)
         WITH RECURSIVE numbers (n) AS (
             SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {posts}
         )
         SELECT 'post', 'text', created_at, id FROM numbers CROSS JOIN users
          WHERE email IN ('{first}', '{second}') AND (email = '{first}' OR numbers.n <= {others});
         INSERT INTO votes (post_id, user_id)
         SELECT posts.id, users.id FROM posts CROSS JOIN users
          WHERE email = '{first}' OR (email = '{second}' AND posts.id % 3 = 0)"
    )
}

fn sign_up(service: &Service, email: &str) -> String {
    let account = json!({"email": email, "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    service.log_in(email)
}

/// Deletes the account while the process is killed, starts another one, and waits for the rest.
fn run_round<S: StoredRows>(
    folder: &Path,
    settings: &[(&str, &str)],
    open: impl Fn() -> S,
    execute: &dyn Fn(&str),
    rng: &mut Rng,
    budget: &Budget,
) {
    let (posts, seed) = (budget.size(POSTS[0], POSTS[1]), budget.name_round());
    let posts = u64::try_from(posts).unwrap();
    let mut service = Service::start_in(folder, settings);
    let (token, other) =
        (sign_up(&service, "ada@example.com"), sign_up(&service, "bob@example.com"));
    execute(&fill("ada@example.com", "bob@example.com", posts));
    // A connection that stays open could keep what it has read in its cache.
    let left = || open().rows("SELECT CAST(count(*) AS text), '' FROM posts")[0].0.clone();
    let others = posts / 3;
    let at_most = others + rng.below(posts);
    std::thread::scope(|scope| {
        let address = service.address().to_owned();
        let token = token.clone();
        // The process is killed before or after it answers.
        scope.spawn(move || {
            let connection = crate::support::Wire::try_connect(address);
            let _ = connection.map(|mut wire| wire.call("DELETE", "/users/me", &token, None));
        });
        wait_until("the deletion has begun", || left().parse::<u64>().unwrap() <= at_most);
        service.kill();
    });
    let service = Service::start_in(folder, settings);
    let rejected = service.connect().call("GET", "/users/me", &token, None).unwrap();
    assert_eq!(rejected.status, 401, "{seed}");
    let pending = "SELECT CAST(user_id AS text), '' FROM account_deletions";
    wait_until("the account is deleted", || open().rows(pending).is_empty());
    open().check(&seed);
    assert_eq!(left(), others.to_string(), "{seed}");
    let votes = "SELECT CAST(count(*) AS text), '' FROM votes
                  WHERE user_id NOT IN (SELECT id FROM users WHERE email = 'bob@example.com')";
    assert_eq!(open().rows(votes)[0].0, "0", "{seed}");
    service.connect().call("DELETE", "/users/me", &other, None).unwrap().expect(204);
    wait_until("the other account is deleted", || left() == "0");
    wait_until("the other account is deleted", || open().rows(pending).is_empty());
}

#[test]
fn deletion_interrupted_by_kill_9_is_finished_on_sqlite() {
    let mut budget = Budget::new("kill -9 in a deletion, embedded", 1);
    let mut rng = Rng::new(budget.seed());
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data/posts.db");
    assert!(Service::command(folder.path()).args(["db", "upgrade"]).status().unwrap().success());
    while budget.next_round().is_some() {
        let execute = |sql: &str| {
            rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        };
        run_round(folder.path(), &[], || SqliteFile::open(&path), &execute, &mut rng, &budget);
    }
    budget.report("rounds", budget.rounds());
}

#[test]
fn deletion_interrupted_by_kill_9_is_finished_on_postgresql() {
    let mut budget = Budget::new("kill -9 in a deletion, PostgreSQL", 1);
    let mut rng = Rng::new(budget.seed());
    let cluster = Cluster::shared();
    let database = cluster.database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    while budget.next_round().is_some() {
        let open = || cluster.existing_database(database.name());
        let execute = |sql: &str| database.execute(sql);
        run_round(folder.path(), &settings, open, &execute, &mut rng, &budget);
    }
    budget.report("rounds", budget.rounds());
}
