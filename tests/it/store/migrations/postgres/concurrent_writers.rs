//! Writers that use the SQL of the reference service during a migration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _};
use post_api::store::postgres::statements;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::SAMPLE;
use super::database::Database;

/// Enough rows for a recount in several batches.
const MANY: &str = "
    INSERT INTO users (id, email, password)
    SELECT n, 'user' || n || '@example.com', 'h' FROM generate_series(101, 140) AS n;
    INSERT INTO posts (id, title, content, owner_id)
    SELECT n, 'post ' || n, '', n % 10 + 101 FROM generate_series(1001, 4000) AS n;
    INSERT INTO votes (user_id, post_id)
    SELECT voter, post FROM generate_series(101, 110) AS voter, generate_series(1001, 4000) AS post;";

/// Runs the statement. A vote may follow the deletion of its post.
async fn run(client: &Client, statement: &str) {
    if let Err(error) = client.batch_execute(statement).await {
        assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{statement}: {error:?}");
    }
}

/// Casts and withdraws votes, creates and deletes posts, and finally deletes an account, as the
/// reference service does. Continues for 20 rounds after `is_done`.
async fn write(client: Client, number: i64, is_done: Arc<AtomicBool>) {
    let voter = 111 + number;
    let mut rounds_left = 20;
    let mut round: i64 = 0;
    while rounds_left > 0 {
        if is_done.load(Ordering::SeqCst) {
            rounds_left -= 1;
        }
        round += 1;
        let post = 1001 + (round * 37 + number * 101) % 2900;
        let elsewhere = 1001 + (round * 53 + number * 11) % 2900;
        let script = [
            format!(
                "INSERT INTO votes (user_id, post_id) VALUES ({voter}, {post}) ON CONFLICT DO NOTHING"
            ),
            format!(
                "DELETE FROM votes WHERE votes.post_id = {post} AND votes.user_id = {}",
                101 + round % 10
            ),
            format!(
                "DELETE FROM votes WHERE votes.post_id = {elsewhere} AND votes.user_id = {voter}"
            ),
            format!(
                "BEGIN; INSERT INTO posts (id, title, content, owner_id) VALUES ({0}, '', '', 109);
                     INSERT INTO votes (user_id, post_id) VALUES (109, {0}), (110, {0}); COMMIT",
                1_000_000 * (number + 1) + round
            ),
            format!("DELETE FROM posts WHERE posts.id = {}", 1_000_000 * (number + 1) + round / 2),
        ];
        for statement in script {
            run(&client, &statement).await;
        }
    }
    run(&client, &format!("DELETE FROM users WHERE users.id = {voter}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_are_right_under_concurrent_writes() {
    let database = Database::of_reference().await;
    database.run(MANY).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..6 {
        let client = database.sql().await;
        writers.push(tokio::spawn(write(client, number, Arc::clone(&is_done))));
    }
    // Upgrade and downgrade run during the writes, and the counts are built twice.
    for target in [POSTGRES.len(), 0, POSTGRES.len()] {
        database.migrate_to(target).await;
    }
    is_done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    database.run("DELETE FROM users WHERE users.id IN (101, 102)").await;
    // The writers chose their IDs, so the sequences are behind.
    database.run("SELECT setval('users_id_seq', 1000), setval('posts_id_seq', 100000000)").await;
    assert_eq!(database.admin().await.wrong_counts().await.unwrap(), [""; 0]);
    database.assert_sound().await;
    assert!(database.number("SELECT count(*) FROM votes WHERE post_id >= 1000000").await > 0);
}

#[tokio::test]
async fn counts_are_right_if_votes_are_withdrawn_between_statements() {
    write_between("DELETE FROM votes WHERE post_id IN (1, 2)").await;
}

#[tokio::test]
async fn counts_are_right_if_votes_are_cast_between_statements() {
    write_between(
        "INSERT INTO votes (user_id, post_id) SELECT id, 40 FROM users ON CONFLICT DO NOTHING",
    )
    .await;
}

/// Writes between each pair of statements of the step, and commits once the step is done or waits
/// for the writer.
async fn write_between(work: &str) {
    let statements = statements(POSTGRES[2].up);
    for before in 0..=statements.len() {
        let database = Database::of_reference().await;
        database.migrate_to(2).await;
        database.psql(&statements[..before].concat());
        let writer = database.sql().await;
        writer.batch_execute(&format!("BEGIN; {work}")).await.unwrap();
        let runner = database.sql().await;
        let process: i32 = runner.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let rest = statements[before..].to_vec();
        let runner = tokio::spawn(async move {
            for statement in rest {
                runner.batch_execute(&statement).await.unwrap();
            }
        });
        let waits = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND NOT granted";
        let watcher = database.sql().await;
        while !runner.is_finished() {
            let waiting: i64 = watcher.query_one(waits, &[&process]).await.unwrap().get(0);
            if waiting > 0 {
                break;
            }
        }
        writer.batch_execute("COMMIT").await.unwrap();
        runner.await.unwrap();
        let wrong = database.admin().await.wrong_counts().await.unwrap();
        assert_eq!(wrong, [""; 0], "after {before} statements");
    }
}

/// After the downvotes are deleted and before their column is dropped: it would become an upvote.
#[tokio::test]
async fn downvote_during_downgrade_is_rejected() {
    let database = Database::empty();
    database.migrate_to(2).await;
    database.run(SAMPLE).await;
    database.run("UPDATE votes SET dir = -1 WHERE user_id = 2").await;
    database.psql(&statements(POSTGRES[1].down)[0]);
    let late = database.sql().await.batch_execute("UPDATE votes SET dir = -1").await;
    assert_eq!(late.unwrap_err().code(), Some(&SqlState::CHECK_VIOLATION));
    database.migrate_to(1).await;
    assert_eq!(database.number("SELECT count(*) FROM votes WHERE user_id = 1").await, 2);
    assert_eq!(database.number("SELECT count(*) FROM votes").await, 2);
}

/// The role of the reference service has no rights on `vote_counts`, and another search path.
#[tokio::test]
async fn role_without_rights_on_counts_can_vote() {
    let database = Database::adopted();
    let role = database.new_role().await;
    database
        .run(&format!("GRANT SELECT, INSERT, DELETE, UPDATE ON users, posts, votes TO {role}"))
        .await;
    database
        .for_role(&role)
        .run(
            "CREATE TEMPORARY TABLE vote_counts (post_id bigint PRIMARY KEY, votes bigint);
             SET search_path = pg_temp;
             DELETE FROM public.votes WHERE post_id = 1;
             INSERT INTO public.votes (user_id, post_id) VALUES (1, 1), (2, 1), (3, 1);
             UPDATE public.votes SET dir = -1 WHERE post_id = 1 AND user_id = 1;",
        )
        .await;
    database.assert_sound().await;
    assert_eq!(database.number("SELECT votes FROM vote_counts WHERE post_id = 1").await, 1);
    database.run("TRUNCATE votes").await;
    database.assert_sound().await;
}
