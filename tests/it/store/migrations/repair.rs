//! Wrong counts and orphaned rows: mended in small transactions, while others write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use post_api::store::migrate::{SQLITE, SchemaAdmin as _};

use super::postgres::Database;
use super::{DatabaseFile, SAMPLE, count};

/// Several batches of posts, each with two votes.
const MANY: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 101 UNION ALL SELECT n + 1 FROM numbers WHERE n < 750)
    INSERT INTO posts (id, title, content, published, created_at, owner_id)
    SELECT n, '', '', 1, 0, 1 FROM numbers;
    INSERT INTO votes (post_id, user_id) SELECT id, 1 FROM posts WHERE id > 100;
    INSERT INTO votes (post_id, user_id) SELECT id, 2 FROM posts WHERE id > 100;";

/// A program that writes without foreign keys and triggers leaves such rows.
const DAMAGE: &str = "
    UPDATE vote_counts SET votes = 7 WHERE post_id = 1 OR post_id > 100;
    DELETE FROM vote_counts WHERE post_id = 2;
    INSERT INTO vote_counts VALUES (7000, 1);
    INSERT INTO votes (post_id, user_id) VALUES (1, 8000), (9000, 1);";

fn assert_mended(done: &[String], wrong: usize) {
    assert!(done.contains(&"deleted 2 of votes without their post or user".to_owned()), "{done:?}");
    // The deleted vote was counted down.
    assert!(done.contains(&"post 1: the count was 6, and is 2".to_owned()), "{done:?}");
    assert!(done.contains(&"post 2: the count was 0, and is 2".to_owned()), "{done:?}");
    let counts = done.iter().filter(|line| line.starts_with("post "));
    assert_eq!(counts.count(), wrong, "{done:?}");
}

#[tokio::test]
async fn sqlite_repair_mends_counts_and_deletes_orphans() {
    let mut database = DatabaseFile::at(SQLITE.len()).await;
    database.sql().execute_batch(SAMPLE).unwrap();
    database.sql().execute_batch(MANY).unwrap();
    let sql = database.sql();
    sql.pragma_update(None, "foreign_keys", false).unwrap();
    sql.execute_batch(
        "DROP TRIGGER votes_counted_after_insert;
         INSERT INTO events (user_id, kind, is_refusal, at) VALUES (8000, 'login', 0, 0);",
    )
    .unwrap();
    sql.execute_batch(DAMAGE).unwrap();
    let trigger = SQLITE[2].up.split("CREATE TRIGGER").nth(1).unwrap();
    let trigger = trigger.split("END;").next().unwrap();
    sql.execute_batch(&format!("CREATE TRIGGER {} END;", trigger.trim())).unwrap();
    assert!(!database.admin.wrong_counts().await.unwrap().is_empty());
    let done = database.admin.repair().await.unwrap();
    assert_mended(&done, 652);
    assert!(done.contains(&"deleted 1 of events without their post or user".to_owned()));
    assert_eq!(database.admin.wrong_counts().await.unwrap(), [""; 0]);
    assert_eq!(database.admin.repair().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn post_without_owner_is_reported_and_stays() {
    let mut file = DatabaseFile::at(SQLITE.len()).await;
    file.sql().execute_batch(SAMPLE).unwrap();
    let sql = file.sql();
    sql.pragma_update(None, "foreign_keys", false).unwrap();
    sql.execute("UPDATE posts SET owner_id = 99 WHERE id = 1", []).unwrap();
    assert_eq!(file.admin.repair().await.unwrap(), [""; 0]);
    let expected = ["1 of posts name a row of users that is not there"];
    assert_eq!(file.admin.wrong_counts().await.unwrap(), expected);
    assert_eq!(count(&file, "SELECT count(*) FROM posts"), 2);

    let database = Database::newest();
    database.run(super::postgres::SAMPLE).await;
    database
        .run("SET session_replication_role = replica; UPDATE posts SET owner_id = 99 WHERE id = 1")
        .await;
    let mut admin = database.admin().await;
    assert_eq!(admin.repair().await.unwrap(), [""; 0]);
    assert_eq!(admin.wrong_counts().await.unwrap(), expected);
}

async fn damaged_postgres() -> Database {
    let database = Database::newest();
    database.run(super::postgres::SAMPLE).await;
    let many = MANY.replace("'', '', 1, 0, 1", "'', '', true, now(), 1");
    database.run(&many).await;
    let damage = format!(
        "SET session_replication_role = replica; {DAMAGE}
         INSERT INTO events (user_id, kind, is_refusal, at) VALUES (8000, 'login', false, now());"
    );
    database.run(&damage).await;
    database
}

#[tokio::test]
async fn postgres_repair_mends_counts_and_deletes_orphans() {
    let database = damaged_postgres().await;
    let mut admin = database.admin().await;
    let done = admin.repair().await.unwrap();
    assert_mended(&done, 652);
    assert!(done.contains(&"deleted 1 of events without their post or user".to_owned()));
    database.assert_sound().await;
    assert_eq!(admin.repair().await.unwrap(), [""; 0]);
}

/// Writers cast and withdraw votes on the damaged posts during the repair.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_repair_counts_votes_of_concurrent_writers() {
    let database = damaged_postgres().await;
    let is_done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..3 {
        let (client, is_done) = (database.sql().await, Arc::clone(&is_done));
        let email = format!("writer{number}@example.com");
        let insert = "INSERT INTO users (email, password) VALUES ($1, 'h') RETURNING id";
        let voter: i64 = client.query_one(insert, &[&email]).await.unwrap().get(0);
        writers.push(tokio::spawn(async move {
            let mut round: i64 = 0;
            while round < 100 || !is_done.load(Ordering::SeqCst) {
                round += 1;
                let post = 101 + (round * 37 + number * 101) % 650;
                let cast = "INSERT INTO votes (post_id, user_id, dir) VALUES ($1, $2, -1)
                            ON CONFLICT (post_id, user_id) DO UPDATE SET dir = -votes.dir";
                client.execute(cast, &[&post, &voter]).await.unwrap();
                if round % 3 == 0 {
                    let withdraw = "DELETE FROM votes WHERE post_id = $1 AND user_id = $2";
                    client.execute(withdraw, &[&post, &voter]).await.unwrap();
                }
            }
        }));
    }
    database.admin().await.repair().await.unwrap();
    is_done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(database.admin().await.wrong_counts().await.unwrap(), [""; 0]);
}
