//! Locks in PostgreSQL: a locked row delays only the requests that need it, and statements never
//! wait for each other in a circle.

use std::sync::Arc;

use post_api::domain::caller::Caller;
use post_api::domain::post::PostId;
use post_api::store::postgres::{Address, PostgresStore, connect};
use post_api::store::{Result, StoreError, VoteOutcome};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::fresh_store::{FreshStore, content, noon, vote};
use crate::support::{Cluster, PostgresDatabase, run_concurrently};

/// The class of the advisory locks of posts.
const CLASS: i64 = 1_987_015_781;

/// Opens a store whose connections wait for a lock without an end, unless a statement limits it.
fn open_patient(database: &PostgresDatabase<'_>) -> Arc<FreshStore> {
    let url = format!("{}?options=-c%20lock_timeout%3D0", database.url());
    let store = PostgresStore::open(&Address::parse(&url).unwrap()).unwrap();
    Arc::new(FreshStore::shared(Arc::new(store)))
}

/// Opens another session and begins a transaction with the statements.
async fn begin(database: &PostgresDatabase<'_>, sql: &str) -> Client {
    let client = connect(&database.address()).await.unwrap();
    client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    client
}

async fn roll_back(session: &Client) {
    session.batch_execute("ROLLBACK").await.unwrap();
}

fn spawn_vote(
    store: &Arc<FreshStore>,
    caller: Caller,
    post: PostId,
    dir: i64,
) -> JoinHandle<Result<VoteOutcome>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.cast_vote(caller, vote(post, dir)).await })
}

/// Fails if a request had another end than success, or 503 after a lock that lasted too long.
fn assert_done_or_unavailable<T: std::fmt::Debug>(outcome: &Result<T>, case: &str) {
    assert!(matches!(outcome, Ok(_) | Err(StoreError::Unavailable(_))), "{case}: {outcome:?}");
}

/// Posts 1 to 4 of `ada`, and twelve voters. The first six have voted on every post.
async fn prepare(store: &FreshStore) -> (Vec<PostId>, Vec<Caller>) {
    let ada = store.sign_up("ada").await;
    let (mut posts, mut voters) = (Vec::new(), Vec::new());
    for number in 0..4 {
        posts.push(store.write(ada, &format!("post {number}")).await.id);
    }
    for number in 0..12 {
        voters.push(store.sign_up(&format!("voter{number}")).await);
    }
    for voter in &voters[..6] {
        for post in &posts {
            store.vote(*voter, *post, 1).await;
        }
    }
    (posts, voters)
}

/// Statements that lock a row of post 1 or of a voter, and do not end.
fn locks(post: PostId, voter: Caller, new_voter: Caller) -> Vec<(&'static str, String)> {
    let (post, voter, new_voter) = (post.0, voter.user_id.0, new_voter.user_id.0);
    vec![
        ("vote", format!("SELECT FROM votes WHERE post_id = {post} FOR UPDATE")),
        ("deleted votes", format!("DELETE FROM votes WHERE post_id = {post}")),
        ("new vote", format!("INSERT INTO votes VALUES ({post}, {new_voter}, 1)")),
        ("count", format!("SELECT FROM vote_counts WHERE post_id = {post} FOR UPDATE")),
        ("post", format!("SELECT FROM posts WHERE id = {post} FOR UPDATE")),
        ("deleted post", format!("DELETE FROM posts WHERE id = {post}")),
        (
            "voters",
            format!("SELECT FROM users WHERE id IN ({voter}, {new_voter}) ORDER BY id FOR UPDATE"),
        ),
    ]
}

#[tokio::test]
async fn locked_row_delays_only_votes_that_need_it() {
    for case in 0..7 {
        let database = Cluster::shared().database();
        let store = open_patient(&database);
        let (posts, voters) = prepare(&store).await;
        let (name, sql) = locks(posts[0], voters[0], voters[11]).swap_remove(case);
        let session = begin(&database, &sql).await;
        let locks_users = name == "voters";
        // Votes that are new or change, and their batch has the other votes too.
        let blocked: Vec<_> = [0, 11, 0, 11, 0, 11]
            .into_iter()
            .map(|voter| spawn_vote(&store, voters[voter], posts[0], -1))
            .collect();
        let others: Vec<(Caller, PostId)> = if locks_users {
            voters[1..11].iter().map(|voter| (*voter, posts[0])).collect()
        } else {
            let rest = posts[1..].iter().flat_map(|post| voters.iter().map(|v| (*v, *post)));
            rest.collect()
        };
        for dir in [-1, 1] {
            let cast = others.iter().map(|(voter, post)| store.cast_vote(*voter, vote(*post, dir)));
            for outcome in run_concurrently(cast).await {
                outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            }
        }
        roll_back(&session).await;
        for request in blocked {
            assert_done_or_unavailable(&request.await.unwrap(), name);
        }
        for voter in &voters {
            store.vote(*voter, posts[0], 1).await;
            assert_eq!(store.vote(*voter, posts[0], 1).await, VoteOutcome::AlreadyCast, "{name}");
        }
        assert_eq!(store.count(voters[0], posts[0]).await, 12, "{name}");
    }
}

#[tokio::test]
async fn locked_row_delays_only_withdrawals_that_need_it() {
    for case in [0, 1, 3] {
        let database = Cluster::shared().database();
        let store = open_patient(&database);
        let (posts, voters) = prepare(&store).await;
        let (name, sql) = locks(posts[0], voters[0], voters[11]).swap_remove(case);
        let session = begin(&database, &sql).await;
        let blocked: Vec<_> =
            voters[..6].iter().map(|voter| spawn_vote(&store, *voter, posts[0], 0)).collect();
        let others = posts[1..].iter().flat_map(|post| voters[..6].iter().map(|v| (*v, *post)));
        let cast = others.map(|(voter, post)| store.vote(voter, post, 0));
        for outcome in run_concurrently(cast).await {
            assert_eq!(outcome, VoteOutcome::Withdrawn, "{name}");
        }
        roll_back(&session).await;
        for request in blocked {
            assert_done_or_unavailable(&request.await.unwrap(), name);
        }
        for voter in &voters[..6] {
            store.vote(*voter, posts[0], 0).await;
        }
        assert_eq!(store.count(voters[0], posts[0]).await, 0, "{name}");
    }
}

#[tokio::test]
async fn locked_author_delays_only_their_own_posts() {
    let database = Cluster::shared().database();
    let store = open_patient(&database);
    let (ada, bob) = (store.sign_up("ada").await, store.sign_up("bob").await);
    let lock = format!("SELECT FROM users WHERE id = {} FOR UPDATE", ada.user_id.0);
    let session = begin(&database, &lock).await;
    let create = |author: Caller| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.create_post(author, content("p", true), noon()).await })
    };
    let blocked: Vec<_> = (0..6).map(|_| create(ada)).collect();
    let others: Vec<_> = (0..6).map(|_| create(bob)).collect();
    for post in others {
        post.await.unwrap().unwrap();
    }
    roll_back(&session).await;
    for post in blocked {
        assert_done_or_unavailable(&post.await.unwrap(), "author");
    }
    store.write(ada, "later").await;
}

/// While a table is locked, every vote fails with 503. The next vote succeeds.
#[tokio::test]
async fn votes_continue_after_a_table_lock() {
    let database = Cluster::shared().database();
    let store =
        Arc::new(FreshStore::shared(Arc::new(PostgresStore::open(&database.address()).unwrap())));
    let (posts, voters) = prepare(&store).await;
    let session = begin(&database, "LOCK TABLE votes IN ACCESS EXCLUSIVE MODE").await;
    let blocked: Vec<_> =
        voters.iter().map(|voter| spawn_vote(&store, *voter, posts[0], -1)).collect();
    // A count needs no votes.
    assert_eq!(store.count(voters[0], posts[0]).await, 6);
    wait_for_locks(&database, 1).await;
    roll_back(&session).await;
    for request in blocked {
        assert_done_or_unavailable(&request.await.unwrap(), "table");
    }
    for voter in &voters {
        store.vote(*voter, posts[0], -1).await;
    }
    assert_eq!(store.count(voters[0], posts[0]).await, -12);
}

/// Waits until this many sessions of the database wait for a lock, or until most lock timeouts have
/// passed.
async fn wait_for_locks(database: &PostgresDatabase<'_>, count: i64) {
    let client = connect(&database.address()).await.unwrap();
    for _ in 0..2000 {
        let waiting = client
            .query_one(
                "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'",
                &[],
            )
            .await
            .unwrap();
        if waiting.get::<_, i64>(0) >= count {
            return;
        }
    }
}

/// Each batch has a new vote, counted by one trigger, and a changed vote, counted by another.
#[tokio::test]
async fn batches_of_two_replicas_do_not_deadlock() {
    let cluster = Cluster::start("deadlock_timeout = 10ms\n");
    let database = cluster.database();
    let open = || {
        let store = PostgresStore::open(&database.address()).unwrap();
        Arc::new(FreshStore::shared(Arc::new(store)))
    };
    let replicas = [open(), open()];
    let ada = replicas[0].sign_up("ada").await;
    let mut voters = Vec::new();
    for number in 0..4 {
        voters.push(replicas[0].sign_up(&format!("voter{number}")).await);
    }
    for _ in 0..3 {
        let first = replicas[0].write(ada, "first").await.id;
        let second = replicas[0].write(ada, "second").await.id;
        for replica in &replicas {
            // Opens the connection and prepares the statement.
            replica.vote(voters[0], first, -1).await;
            replica.vote(voters[1], second, -1).await;
        }
        let count = format!("SELECT FROM vote_counts WHERE post_id = {} FOR UPDATE", first.0);
        let session = begin(&database, &count).await;
        let mut requests = vec![
            spawn_vote(&replicas[0], voters[0], first, 1),
            spawn_vote(&replicas[0], voters[2], second, 1),
        ];
        wait_for_locks(&database, 1).await;
        requests.push(spawn_vote(&replicas[1], voters[3], first, 1));
        requests.push(spawn_vote(&replicas[1], voters[1], second, 1));
        wait_for_locks(&database, 2).await;
        roll_back(&session).await;
        for request in requests {
            assert_done_or_unavailable(&request.await.unwrap(), "vote");
        }
    }
    let log = std::fs::read_to_string(cluster.folder().join("log")).unwrap();
    assert!(!log.contains("deadlock detected"), "{log}");
}

/// The order of the votes in the batch does not matter.
#[tokio::test]
async fn posts_are_locked_in_ascending_order() {
    for dir in [1, 0] {
        let database = Cluster::shared().database();
        let store = Arc::new(FreshStore::shared(Arc::new(
            PostgresStore::open(&database.address()).unwrap(),
        )));
        let (posts, voters) = prepare(&store).await;
        let ids: Vec<i64> = posts.iter().map(|post| post.0).collect();
        let held = format!("SELECT pg_advisory_xact_lock({CLASS}, {})", ids[2]);
        let session = begin(&database, &held).await;
        let order = [3, 2, 1, 0, 3, 0];
        let requests = order.map(|post| spawn_vote(&store, voters[post], posts[post], dir));
        wait_for_locks(&database, 1).await;
        let locked = database.query(&format!(
            "SELECT objid FROM pg_locks
              WHERE locktype = 'advisory' AND classid = {CLASS} AND objid <> {}
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              ORDER BY objid",
            ids[2]
        ));
        assert_eq!(locked, [ids[0].to_string(), ids[1].to_string()], "dir {dir}");
        roll_back(&session).await;
        for request in requests {
            request.await.unwrap().unwrap();
        }
    }
}

/// A sequence counts the attempts, because a rolled back transaction does not reset it.
#[tokio::test]
async fn forbidden_deletion_is_tried_once() {
    let database = Cluster::shared().database();
    let store =
        Arc::new(FreshStore::shared(Arc::new(PostgresStore::open(&database.address()).unwrap())));
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    database.execute(&format!(
        "CREATE SEQUENCE attempts;
         CREATE FUNCTION count_attempt() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN PERFORM nextval('attempts'); RETURN OLD; END $$;
         CREATE TRIGGER attempt BEFORE DELETE ON posts
             FOR EACH ROW EXECUTE FUNCTION count_attempt();
         CREATE TABLE comments (post_id bigint CONSTRAINT of_post REFERENCES posts (id));
         INSERT INTO comments VALUES ({})",
        post.0
    ));
    let Err(StoreError::Referenced(source)) = store.delete_post(ada, post, None).await else {
        panic!("the post is deleted");
    };
    assert!(source.to_string().contains("\"of_post\" on table \"comments\""), "{source}");
    assert_eq!(database.query("SELECT last_value FROM attempts"), ["1"]);
}

/// The deletion locks the post first and its votes last, and a vote locks them the other way round.
#[tokio::test]
async fn deletion_of_a_post_waits_for_its_votes() {
    let database = Cluster::shared().database();
    let store =
        Arc::new(FreshStore::shared(Arc::new(PostgresStore::open(&database.address()).unwrap())));
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    let held = format!("SELECT pg_advisory_xact_lock({CLASS}, {})", post.0);
    let session = begin(&database, &held).await;
    let deleting = Arc::clone(&store);
    let deletion = tokio::spawn(async move { deleting.delete_post(ada, post, None).await });
    wait_for_locks(&database, 1).await;
    let unlocked = database.query(&format!(
        "SELECT count(*) FROM (SELECT FROM posts WHERE id = {} FOR UPDATE SKIP LOCKED) AS post",
        post.0
    ));
    assert_eq!(unlocked, ["1"]);
    roll_back(&session).await;
    deletion.await.unwrap().unwrap();
}

/// The statement of a withdrawal sees the vote as it was before its wait.
#[tokio::test]
async fn vote_that_changes_during_the_wait_of_its_withdrawal_is_withdrawn() {
    let database = Cluster::shared().database();
    let store = open_patient(&database);
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    store.vote(ada, post, 1).await;
    let change = format!(
        "SELECT pg_advisory_xact_lock({CLASS}, {0}); UPDATE votes SET dir = -1 WHERE post_id = {0}",
        post.0
    );
    let session = begin(&database, &change).await;
    let withdrawal = spawn_vote(&store, ada, post, 0);
    wait_for_locks(&database, 1).await;
    session.batch_execute("COMMIT").await.unwrap();
    assert_eq!(withdrawal.await.unwrap().unwrap(), VoteOutcome::Withdrawn);
    assert_eq!(store.vote(ada, post, 0).await, VoteOutcome::NotCast);
}
