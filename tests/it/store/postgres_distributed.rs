//! The statements for distributed tables, on a server without Citus: they do the same there, and keep
//! the rules of Citus, which refuses other statements or reads a table of all servers for them.
//!
//! Not here: all statements on Citus, see `scripts/stress`.

use axum::body::Body;
use post_api::store::ChangeStore as _;
use post_api::store::postgres::{PostgresStore, Statement, request_statements};
use serde_json::json;
use tokio_postgres::types::Type;
use tower::ServiceExt as _;

use crate::support::{Cluster, PostgresDatabase, TestApp};

/// Returns a database that looks as if Citus had distributed its posts.
fn marked() -> PostgresDatabase<'static> {
    let database = Cluster::shared().database();
    database.execute(
        "CREATE FUNCTION citus_truncate_trigger() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER truncate_trigger AFTER TRUNCATE ON posts
             FOR EACH STATEMENT EXECUTE FUNCTION citus_truncate_trigger();
         UPDATE pg_trigger SET tgisinternal = TRUE WHERE tgname = 'truncate_trigger'",
    );
    database
}

#[test]
fn every_text_for_distributed_tables_can_be_planned() {
    let database = Cluster::shared().database();
    let mut planned = 0;
    for statement in request_statements() {
        let Some(text) = statement.distributed else { continue };
        let types: Vec<&str> = statement.types.iter().map(Type::name).collect();
        let nulls = vec!["NULL"; types.len()].join(", ");
        let lines = database.query(&format!(
            "PREPARE asked ({}) AS {text}; EXPLAIN (COSTS OFF) EXECUTE asked ({nulls})",
            types.join(", ")
        ));
        assert!(!lines.is_empty(), "{}", statement.name);
        planned += 1;
    }
    assert!(planned >= 25, "{planned}");
}

#[tokio::test]
async fn posts_and_votes_are_the_same_on_distributed_tables() {
    let app = TestApp::on(marked());
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (first, second) = (ada.write_post("first").await, bob.write_post("second").await);
    let draft = ada.write_draft("draft").await;
    for (caller, post, dir) in [(&ada, first, 1), (&bob, first, 1), (&ada, second, -1)] {
        caller.vote(post, dir).await.expect(201);
    }
    ada.vote(first, 1).await.expect(409);
    bob.vote(draft, 1).await.expect(404);
    assert_eq!((ada.votes(first).await, ada.votes(second).await), (2, -1));
    bob.vote(first, 0).await.expect(201);
    bob.vote(first, 0).await.expect(404);
    for (path, titles) in [
        ("/posts", &["second", "first"][..]),
        ("/posts?search=fir", &["first"]),
        ("/posts?sort=top", &["first", "second"]),
        ("/posts?sort=oldest", &["first", "second"]),
        ("/posts?since=2000-01-01T00:00:00Z", &["second", "first"]),
        ("/posts?limit=1&skip=1", &["first"]),
    ] {
        assert_eq!(bob.titles(path).await, titles, "{path}");
    }
    let listed = ada.get("/posts?limit=10").await.expect(200).json();
    assert_eq!((&listed[0]["votes"], &listed[1]["votes"]), (&json!(-1), &json!(1)));
    let votes = ada.get("/users/me/votes").await.expect(200).json();
    assert_eq!(votes.as_array().unwrap().len(), 2, "{votes}");
}

#[tokio::test]
async fn streams_of_changes_are_off_on_distributed_tables() {
    let database = marked();
    let store = PostgresStore::open(&database.address()).unwrap();
    let refused = store.listen_to_changes().await.unwrap_err();
    assert!(format!("{refused:?}").contains("logs no changes"), "{refused:?}");
    assert!(!store.has_change_log().await.unwrap());
    let app = TestApp::on(database);
    let ada = app.signed_in("ada").await;
    for (method, path) in [("GET", "/posts/changes"), ("POST", "/posts/changes/tickets")] {
        let request = ada.request(method, path).body(Body::empty()).unwrap();
        let response = app.routes().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404, "{method} {path}");
    }
}

/// Functions whose result changes within a statement. Each server would call them itself.
const VOLATILE: [&str; 5] =
    ["gen_random_uuid(", "random(", "clock_timestamp(", "nextval(", "setval("];

/// Statements that do not run on distributed tables: they have no log of changes, and no hidden range.
const UNDISTRIBUTED: [&str; 6] = [
    "LISTEN_TO_CHANGES",
    "DELETE_CHANGES_AHEAD",
    "READ_CHANGES",
    "FIND_CHANGED_POSTS",
    "FORGET_CHANGES",
    "FIND_HIDDEN_RANGE",
];

/// Returns the name and the text of each statement for distributed tables.
fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = |one: &'static Statement| (one.name, one.distributed.unwrap_or(one.sql));
    request_statements().filter(|one| !UNDISTRIBUTED.contains(&one.name)).map(text)
}

/// Returns what follows each occurrence of the words, up to the end.
fn after<'a>(sql: &'a str, words: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    sql.split(words).skip(1).map(move |rest| rest.split(end).next().unwrap_or_default())
}

#[test]
fn update_sets_no_column_to_a_volatile_function_or_a_sum_of_times() {
    let mut checked = 0;
    for (name, sql) in texts() {
        for set in after(sql, " SET ", "WHERE") {
            for function in VOLATILE {
                assert!(!set.contains(function), "{name}: {function} in {set}");
            }
            for before in set.split("+ interval").collect::<Vec<_>>().split_last().unwrap().1 {
                assert!(before.trim_end().ends_with("AT TIME ZONE 'UTC'"), "{name}: {set}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked}");
}

/// A subquery of each row refers to the table of the row, which has shards with the same posts.
#[test]
fn count_of_a_row_is_read_for_a_row_of_posts_or_a_parameter() {
    let mut checked = 0;
    for (name, sql) in texts() {
        for post in after(sql, "(SELECT votes FROM vote_counts WHERE post_id = ", ")") {
            assert!(["posts.id", "$1"].contains(&post), "{name}: {post}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked}");
}

/// An outer join of other rows to all posts would first read all posts.
#[test]
fn outer_join_to_posts_names_the_posts_or_joins_their_shards() {
    let mut checked = 0;
    for (name, sql) in texts() {
        for condition in after(sql, "LEFT JOIN posts", " AND ") {
            let condition = condition.trim_start();
            let joins_shards = ["votes.post_id", "vote_counts.post_id"]
                .iter()
                .any(|key| condition.trim_end() == format!("ON posts.id = {key}"));
            assert!(joins_shards, "{name}: {condition}");
            checked += 1;
        }
        for posts in after(sql, "LEFT JOIN (SELECT id, published, owner_id FROM posts", ")") {
            assert!(posts.contains("= ANY("), "{name}: {posts}");
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

/// A step passes its rows on, and no server can pass on a void.
#[test]
fn step_of_a_statement_returns_no_void() {
    for (name, sql) in texts() {
        assert!(!sql.contains("SELECT pg_advisory_xact_lock("), "{name}: {sql}");
    }
}

/// A text of its own has the same parameters, so it is called in the same way.
#[test]
fn text_for_distributed_tables_has_the_same_parameters() {
    let mut checked = 0;
    for statement in request_statements() {
        let Some(distributed) = statement.distributed else { continue };
        let count = statement.types.len();
        assert!(!distributed.contains(&format!("${}", count + 1)), "{}", statement.name);
        checked += 1;
    }
    assert!(checked >= 25, "{checked}");
}
