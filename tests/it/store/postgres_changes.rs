//! The log of changes in PostgreSQL: transactions that are open, copies of a database, and the
//! rights of roles.

use std::sync::Arc;

use post_api::domain::change::{ChangeSubject, PostChangeKind};
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::PostId;
use post_api::store::migrate::SchemaAdmin as _;
use post_api::store::postgres::{Address, PostgresAdmin, PostgresStore, connect};
use tokio_postgres::Client;

use super::changes::{created, listen, log_since};
use super::fresh_store::{FreshStore, postgres};
use crate::support::{Cluster, prepare_serving_role};

/// Begins a transaction with the statements in a session of its own.
async fn begin(store: &FreshStore, sql: &str) -> Client {
    let client = connect(&store.postgres_address()).await.unwrap();
    client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    client
}

async fn commit(client: &Client) {
    client.batch_execute("COMMIT").await.unwrap();
}

/// Returns the statement that adds a post of the only account.
fn insert(id: i64) -> String {
    format!("INSERT INTO posts (id, title, content, owner_id) SELECT {id}, 'a', 'b', id FROM users")
}

fn voted(id: i64) -> ChangeSubject {
    ChangeSubject::Post { id: PostId(id), kind: PostChangeKind::Votes }
}

#[tokio::test]
async fn commits_in_the_opposite_order_lose_no_change() {
    let store = postgres().await;
    store.sign_up("ada").await;
    let start = listen(&store).await;
    let older = begin(&store, &insert(101)).await;
    let younger = begin(&store, &insert(102)).await;
    commit(&younger).await;
    let meanwhile = store.read_changes(start, 100).await.unwrap();
    assert_eq!(meanwhile.changes, []);
    commit(&older).await;
    let expected = [101, 102].map(|id| created(PostId(id)));
    assert_eq!(log_since(&store, meanwhile.end).await, expected);
    assert_eq!(log_since(&store, start).await, expected);
}

#[tokio::test]
async fn log_is_complete_after_the_transactions_of_before_have_ended() {
    let store = postgres().await;
    store.sign_up("ada").await;
    let older = begin(&store, &insert(101)).await;
    let start = store.listen_to_changes().await.unwrap().start;
    assert!(store.read_changes(start, 1).await.unwrap().end < start);
    older.batch_execute(&insert(102)).await.unwrap();
    commit(&older).await;
    let position = listen(&store).await;
    assert!(store.read_changes(start, 100).await.unwrap().end >= start);
    assert_eq!(log_since(&store, position).await, []);
}

/// The triggers of the transaction see the rows of its snapshot, too.
#[tokio::test]
async fn write_with_an_old_snapshot_is_logged() {
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let store = postgres().await;
        store.sign_up("ada").await;
        let old =
            format!("SET TRANSACTION ISOLATION LEVEL {isolation}; SELECT count(*) FROM posts");
        let old = begin(&store, &old).await;
        let start = listen(&store).await;
        old.batch_execute(&insert(101)).await.unwrap();
        commit(&old).await;
        assert_eq!(log_since(&store, start).await, [created(PostId(101))], "{isolation}");
    }
}

#[tokio::test]
async fn transaction_of_another_database_delays_changes_and_loses_none() {
    let store = postgres().await;
    store.sign_up("ada").await;
    let start = listen(&store).await;
    let other = Cluster::shared().empty_database();
    let other = connect(&other.address()).await.unwrap();
    other.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    store.execute(&insert(101));
    let meanwhile = store.read_changes(start, 100).await.unwrap();
    assert_eq!(meanwhile.changes, []);
    commit(&other).await;
    assert_eq!(log_since(&store, meanwhile.end).await, [created(PostId(101))]);
}

#[tokio::test]
async fn statement_logs_a_voted_post_once() {
    let store = postgres().await;
    let ada = store.sign_up("ada").await;
    let (one, other) = (store.write(ada, "one").await.id.0, store.write(ada, "other").await.id.0);
    for name in ["bob", "eve"] {
        store.sign_up(name).await;
    }
    let start = listen(&store).await;
    for (statement, rows) in [
        ("INSERT INTO votes (post_id, user_id) SELECT posts.id, users.id FROM posts, users", 2),
        ("UPDATE votes SET dir = -1", 4),
        ("DELETE FROM votes", 6),
        ("DELETE FROM votes", 6),
    ] {
        store.execute(statement);
        let logged = log_since(&store, start).await;
        assert_eq!(logged.len(), rows, "{statement}: {logged:?}");
        assert!(logged.iter().all(|subject| [voted(one), voted(other)].contains(subject)));
    }
}

#[tokio::test]
async fn truncated_votes_begin_an_epoch() {
    let store = postgres().await;
    let ada = store.sign_up("ada").await;
    store.write(ada, "post").await;
    for statement in ["TRUNCATE votes", "TRUNCATE posts CASCADE"] {
        let before = store.listen_to_changes().await.unwrap();
        store.execute(statement);
        let after = store.read_changes(before.start, 1).await.unwrap();
        assert_ne!(after.epoch, before.epoch, "{statement}");
        assert_eq!(store.listen_to_changes().await.unwrap().epoch, after.epoch, "{statement}");
    }
}

/// No trigger logs the counts that a repair writes.
#[tokio::test]
async fn repaired_count_begins_an_epoch() {
    let store = postgres().await;
    let ada = store.sign_up("ada").await;
    let post = store.write(ada, "post").await.id;
    store.vote(ada, post, 1).await;
    let before = store.listen_to_changes().await.unwrap().epoch;
    let mut admin = PostgresAdmin::connect(&store.postgres_address()).await.unwrap();
    for (change, is_same) in [("SELECT 1", true), ("UPDATE vote_counts SET votes = 5", false)] {
        store.execute(change);
        assert_eq!(admin.repair().await.unwrap().is_empty(), is_same);
        let epoch = store.listen_to_changes().await.unwrap().epoch;
        assert_eq!(epoch == before, is_same, "{change}");
    }
}

/// On another server the numbers of transactions are lower than those of the rows.
#[tokio::test]
async fn rows_of_another_server_begin_an_epoch_and_are_deleted() {
    let store = postgres().await;
    let ada = store.sign_up("ada").await;
    let before = store.listen_to_changes().await.unwrap();
    store.execute(
        "INSERT INTO post_changes (xid, post_id, kind)
             SELECT (4000000000000 + n)::text::xid8, n, 4 FROM generate_series(1, 20001) AS n;
         UPDATE change_log SET trimmed_xid = '4000000000000', trimmed_id = 1",
    );
    store.forget_changes().await.unwrap();
    assert_eq!(store.count_rows("post_changes"), 20001);
    let after = store.listen_to_changes().await.unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(store.count_rows("post_changes"), 0);
    assert!(store.read_changes(after.start, 1).await.unwrap().forgotten <= after.start);
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, after.epoch);
    let post = store.write(ada, "post").await.id;
    assert_eq!(log_since(&store, after.start).await, [created(post)]);
}

#[tokio::test]
async fn processes_on_one_server_share_an_epoch() {
    let store = postgres().await;
    let ada = store.sign_up("ada").await;
    let other = store.open_another();
    let start = listen(&store).await;
    let post = store.write(ada, "post").await.id;
    let [one, same] = [&store, &other].map(|process| process.listen_to_changes());
    assert_eq!(one.await.unwrap().epoch, same.await.unwrap().epoch);
    assert_eq!(log_since(&other, start).await, [created(post)]);
    store.expire_listening();
    let later = other.listen_to_changes().await.unwrap().epoch;
    assert_eq!(store.read_changes(start, 5).await.unwrap().epoch, later);
}

/// An earlier state of the files, or a standby that lacks the last transactions, gives the same
/// positions to other changes.
#[tokio::test]
async fn files_of_a_server_that_are_put_back_begin_an_epoch() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let open = || FreshStore::shared(Arc::new(PostgresStore::open(&database.address()).unwrap()));
    let store = open();
    let ada = store.sign_up("ada").await;
    let before = store.listen_to_changes().await.unwrap();
    store.write(ada, "kept").await;
    store.close().await;
    cluster.stop("fast");
    let copy = |from: &str, to: &str| {
        cluster.run("/bin/rm", |command| {
            command.args(["-rf", to]);
        });
        cluster.run("/bin/cp", |command| {
            command.args(["-a", from, to]);
        });
    };
    copy("data", "copy");
    cluster.start_server();
    let store = open();
    assert_ne!(store.read_changes(before.start, 5).await.unwrap().epoch, before.epoch);
    let life = store.listen_to_changes().await.unwrap();
    assert_ne!(life.epoch, before.epoch);
    store.write(ada, "lost").await;
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, life.epoch);
    let end = store.read_changes(life.start, 5).await.unwrap();
    assert_eq!(end.epoch, life.epoch);
    store.close().await;
    cluster.stop("immediate");
    copy("copy", "data");
    cluster.start_server();
    let store = open();
    for _ in 0..3 {
        assert_ne!(store.read_changes(end.end, 5).await.unwrap().epoch, life.epoch);
        let again = store.listen_to_changes().await.unwrap().epoch;
        assert!(again != life.epoch && again != before.epoch);
        store.write(ada, "another").await;
    }
    store.close().await;
}

/// After a crash of one of its processes the server recovers without a restart. Transactions that
/// did not wait for the disk are lost then, and their positions belong to other changes.
#[tokio::test]
async fn crash_recovery_begins_an_epoch() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let store = PostgresStore::open(&database.address()).unwrap();
    let store = FreshStore::shared(Arc::new(store));
    let before = store.listen_to_changes().await.unwrap();
    assert_eq!(store.listen_to_changes().await.unwrap().epoch, before.epoch);
    let started = || database.query("SELECT pg_postmaster_start_time()");
    let time = started();
    let backend = database.query("SELECT pg_backend_pid()");
    let killed = std::process::Command::new("kill").args(["-KILL", &backend[0]]).status();
    assert!(killed.unwrap().success());
    while !is_recovered(&cluster) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The first connections may be those that the crash has closed.
    let after = loop {
        if let Ok(listening) = store.listen_to_changes().await {
            break listening;
        }
    };
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(started(), time);
    store.close().await;
}

fn is_recovered(cluster: &Cluster) -> bool {
    let log = std::fs::read_to_string(cluster.folder().join("log")).unwrap();
    log.matches("database system is ready to accept connections").count() == 2
}

/// Others may have read the log of the original after the copy was made.
#[tokio::test]
async fn copy_of_the_database_begins_an_epoch() {
    let cluster = Cluster::shared();
    let original = cluster.database();
    let store = PostgresStore::open(&original.address()).unwrap();
    let store = FreshStore::shared(Arc::new(store));
    let before = store.listen_to_changes().await.unwrap();
    store.close().await;
    let dump = original.dump();
    let restored = cluster.empty_database();
    restored.execute(&dump);
    for copy in [&original, &restored] {
        let store = FreshStore::shared(Arc::new(PostgresStore::open(&copy.address()).unwrap()));
        let epoch = store.listen_to_changes().await.unwrap().epoch;
        assert_eq!(epoch == before.epoch, copy.name() == original.name(), "{}", copy.name());
    }
}

#[tokio::test]
async fn serving_role_reads_and_forgets_changes() {
    let cluster = Cluster::shared();
    let database = cluster.empty_database();
    let url = prepare_serving_role(cluster, &database);
    let store = Arc::new(PostgresStore::open(&Address::parse(&url).unwrap()).unwrap());
    let store = FreshStore::shared(store);
    let ada = store.sign_up("ada").await;
    let start = listen(&store).await;
    let post = store.write(ada, "post").await.id;
    assert_eq!(log_since(&store, start).await, [created(post)]);
    let found = store.find_changed_posts(vec![post], DraftVisibility::Private).await.unwrap();
    assert_eq!(found.len(), 1);
    database.execute("UPDATE post_changes SET at = now() - interval '2 hours'");
    store.forget_changes().await.unwrap();
    assert_eq!(database.query("SELECT count(*) FROM post_changes"), ["0"]);
    let client = connect(&Address::parse(&url).unwrap()).await.unwrap();
    for statement in [
        "INSERT INTO post_changes (post_id, kind) VALUES (1, 4)",
        "UPDATE post_changes SET kind = 4",
        "SELECT nextval('post_changes_id_seq')",
        "DELETE FROM change_log",
        "CREATE TRIGGER forging AFTER INSERT ON votes EXECUTE FUNCTION log_posts_created()",
    ] {
        assert!(client.batch_execute(statement).await.is_err(), "{statement}");
    }
}

/// The plans of the statements that the log needs, with the planner's own choice.
#[test]
fn long_log_is_read_and_trimmed_by_its_index() {
    let database = Cluster::shared().database();
    database.execute(
        "INSERT INTO post_changes (xid, post_id, kind)
             SELECT (n / 8)::text::xid8, n, 4 FROM generate_series(1, 300000) AS n",
    );
    for statistics in ["", "ANALYZE"] {
        database.execute(statistics);
        for name in ["LISTEN_TO_CHANGES", "DELETE_CHANGES_AHEAD", "READ_CHANGES", "FORGET_CHANGES"]
        {
            let statement = post_api::store::postgres::request_statements();
            let statement = statement.into_iter().find(|found| found.name == name).unwrap();
            let values = vec!["10"; statement.types.len()].join(", ");
            let values = if values.is_empty() { values } else { format!("({values})") };
            for mode in ["force_generic_plan", "force_custom_plan"] {
                let plan = database.query(&format!(
                    "SET plan_cache_mode = {mode}; PREPARE asked AS {};
                     EXPLAIN (COSTS OFF) EXECUTE asked{values}",
                    statement.sql
                ));
                let is_scan = |line: &String| line.contains("Seq Scan on post_changes");
                assert!(!plan.iter().any(is_scan), "{name}, {statistics}: {plan:#?}");
                let by_index = |line: &String| line.contains("using post_changes_pkey");
                assert!(plan.iter().any(by_index), "{name}, {statistics}: {plan:#?}");
            }
        }
    }
}
