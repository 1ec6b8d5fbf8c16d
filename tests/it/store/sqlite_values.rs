//! Values that another program can write into a SQLite column and that no type of the service has:
//! times beyond the calendar, and texts that are not UTF-8. No such value makes a read of another row
//! fail, and a list shows the row.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use post_api::domain::caller::{Caller, ValidFromRange};
use post_api::domain::change::ChangePosition;
use post_api::domain::event::{Event, EventKind};
use post_api::domain::page::{Page, PostScope};
use post_api::domain::post::PostId;
use post_api::domain::session::NewSession;
use post_api::domain::user::{AccountKey, TokensValidFrom, UserId};
use post_api::store::migrate::SchemaAdmin as _;
use post_api::store::sqlite::{SqliteAdmin, SqliteStore};
use post_api::store::{Once, Result, StoreError};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::fresh_store::{FreshStore, email, noon, search};
use super::idempotency_keys::{done, write_once};
use crate::support::create_sqlite_file;

struct Stored {
    _folder: TempDir,
    path: PathBuf,
    store: FreshStore,
    database: Connection,
    ada: Caller,
    /// The owner of the changed rows.
    bob: Caller,
}

impl Stored {
    /// Stores one row of each kind for each of two users.
    async fn create() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        create_sqlite_file(&path).await;
        let store = FreshStore::shared(Arc::new(SqliteStore::open(&path).unwrap()));
        let mut callers = Vec::new();
        for name in ["ada", "bob"] {
            let caller = store.sign_up(name).await;
            store.write(caller, "a title").await;
            store.draft(caller, "a title").await;
            store.vote(caller, PostId(1), 1).await;
            store.vote(caller, PostId(3), 1).await;
            let event = Event { kind: EventKind::LoggedIn, at: noon(), client: None };
            store.record_event(caller.user_id, event).await.unwrap();
            let found = store.find_credentials(email(name).into()).await.unwrap().unwrap();
            let session = session(caller.user_id, found.tokens_valid_from);
            store.create_session(session).await.unwrap().unwrap();
            store.record_login_failure(AccountKey(caller.user_id.0), noon()).await.unwrap();
            callers.push(caller);
        }
        for caller in &callers {
            done(write_once(&store, *caller, "a title", "key").await);
        }
        let database = Connection::open(&path).unwrap();
        let change = "INSERT INTO post_changes (id, post_id, kind) VALUES (1, 1, 4)";
        database.execute_batch(change).unwrap();
        Self { _folder: folder, path, store, database, ada: callers[0], bob: callers[1] }
    }

    /// Returns table, column and type of every column that a value can be written to.
    fn columns(&self) -> Vec<(String, String, String)> {
        let sql = "SELECT tables.name, columns.name, columns.type
              FROM pragma_table_list AS tables, pragma_table_info(tables.name) AS columns
             WHERE tables.type = 'table' AND tables.strict AND columns.pk = 0
               AND tables.name <> 'schema_migrations'
               AND columns.name NOT IN ('owner_id', 'user_id', 'post_id')";
        let mut statement = self.database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    /// Sets a column of Bob's row. Returns the value before, or `None` if the column refuses.
    fn set(&self, table: &str, column: &str, value: &str) -> Option<Value> {
        let row = bobs_row(table);
        let old = format!("SELECT {column} FROM {table} WHERE {row}");
        let old = self.database.query_row(&old, [], |row| row.get(0)).unwrap();
        let update = format!("UPDATE {table} SET {column} = {value} WHERE {row}");
        let changed = self.database.execute(&update, []).ok()?;
        assert_eq!(changed, 1, "{update}");
        Some(old)
    }

    fn reset(&self, table: &str, column: &str, value: Value) {
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {}", bobs_row(table));
        self.database.execute(&update, [value]).unwrap();
    }

    /// Reads everything of Ada, and what everyone can see of Bob.
    async fn check(&self, case: &str) {
        let (store, ada, bob) = (&self.store, self.ada, self.bob);
        for page in [Page::default(), search("title"), search("t")] {
            let posts = store.list_posts(ada, page).await.unwrap();
            let ids: Vec<i64> = posts.iter().map(|found| found.post.id.0).collect();
            let shows = |id| ids.contains(&id);
            assert!(shows(1), "{case}: {ids:?}");
            assert!(
                shows(3) || case.contains("published") || case.contains("title"),
                "{case}: {ids:?}"
            );
        }
        let drafts = Page { scope: PostScope::OwnDrafts, ..Page::default() };
        assert_eq!(
            store.list_posts(ada, drafts.clone()).await.unwrap().iter().count(),
            1,
            "{case}"
        );
        assert!(store.find_post(ada, PostId(1)).await.unwrap().is_some(), "{case}");
        store.find_me(ada).await.unwrap();
        assert!(store.find_credentials(email("ada").into()).await.unwrap().is_some(), "{case}");
        assert_eq!(store.list_sessions(ada, noon()).await.unwrap().len(), 1, "{case}");
        assert_eq!(store.list_events(ada).await.unwrap().len(), 1, "{case}");
        assert_eq!(store.count_login_failures(AccountKey(1), noon()).await.unwrap(), 1, "{case}");
        store.read_changes(ChangePosition::default(), 5).await.unwrap();
        let again = write_once(store, ada, "a title", "key").await;
        assert!(matches!(again, Once::Replayed(_)), "{case}: {again:?}");

        store.find_post(ada, PostId(3)).await.unwrap();
        assert!(store.find_user(bob.user_id).await.unwrap().is_some(), "{case}");
        store.find_credentials(email("bob").into()).await.unwrap();
        store.count_login_failures(AccountKey(2), noon()).await.unwrap();
        accepted_or_rejected(store.list_posts(bob, drafts).await, case);
        accepted_or_rejected(store.find_me(bob).await, case);
        accepted_or_rejected(store.list_sessions(bob, noon()).await, case);
        accepted_or_rejected(store.list_events(bob).await, case);
    }
}

fn bobs_row(table: &str) -> &'static str {
    match table {
        "users" => "id = 2",
        "posts" => "id = 3",
        "votes" => "user_id = 2 AND post_id = 3",
        "vote_counts" => "post_id = 3",
        "login_failures" => "account = 2",
        "sessions" | "events" | "idempotency_keys" => "user_id = 2",
        "installation" | "change_log" => "one = 1",
        "post_changes" => "id = 1",
        other => panic!("add the row of {other}"),
    }
}

fn session(user_id: UserId, tokens_valid_from: TokensValidFrom) -> NewSession {
    let later = noon() + jiff::SignedDuration::from_hours(1);
    NewSession {
        user_id,
        tokens_valid_from,
        family_hash: [1; 32],
        secret_hash: [2; 32],
        user_agent: "agent".to_owned(),
        now: noon(),
        expires_at: later,
        ends_at: later,
    }
}

fn accepted_or_rejected<T>(outcome: Result<T>, case: &str) {
    match outcome {
        Ok(_) | Err(StoreError::CallerRejected) => {}
        Err(error) => panic!("{case}: {error:?}"),
    }
}

#[tokio::test]
async fn strange_value_in_any_column_harms_no_other_row() {
    let stored = Stored::create().await;
    stored.check("nothing").await;
    let mut tried = 0;
    for (table, column, kind) in stored.columns() {
        let values: &[&str] = match kind.as_str() {
            "INTEGER" => {
                &["-9223372036854775808", "9223372036854775807", "253402300800000000", "0"]
            }
            "TEXT" => &["CAST(x'ff' AS TEXT)", "CAST(x'41c3' AS TEXT)", "char(0)", "''"],
            "BLOB" => &["x''", "x'ff'"],
            other => panic!("{table}.{column} is {other}"),
        };
        for value in values {
            if let Some(old) = stored.set(&table, &column, value) {
                stored.check(&format!("{table}.{column} = {value}")).await;
                stored.reset(&table, &column, old);
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
    stored.check("all reset").await;
}

#[tokio::test]
async fn time_beyond_the_calendar_is_read_as_its_first_or_last() {
    let stored = Stored::create().await;
    for (value, expected) in [
        ("-9223372036854775808", "0001-01-01T00:00:00Z".parse().unwrap()),
        ("9223372036854775807", Timestamp::MAX),
        ("253402300800000000", Timestamp::MAX),
        ("-1", Timestamp::from_microsecond(-1).unwrap()),
    ] {
        stored.set("posts", "created_at", value).unwrap();
        let post = stored.store.read(stored.ada, PostId(3)).await.unwrap();
        assert_eq!(post.post.created_at, expected, "{value}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_read_with_replacement_characters() {
    let stored = Stored::create().await;
    stored.set("posts", "title", "CAST(x'61ff62' AS TEXT)").unwrap();
    stored.set("posts", "content", "CAST(x'c3' AS TEXT)").unwrap();
    let post = stored.store.read(stored.ada, PostId(3)).await.unwrap().post;
    assert_eq!((post.title.as_str(), post.content.as_str()), ("a\u{fffd}b", "\u{fffd}"));
}

/// The greatest time locks an account out. It must not prevent the sign-out of the others.
#[tokio::test]
async fn sign_out_of_all_passes_over_the_greatest_time() {
    let stored = Stored::create().await;
    for table in ["users", "installation"] {
        stored.set(table, "tokens_valid_from", "9223372036854775807").unwrap();
    }
    let mut admin = SqliteAdmin::new(&stored.path);
    assert_eq!(admin.sign_out_all(noon()).await.unwrap(), 2);
    let times = "SELECT min(tokens_valid_from) > 0, max(tokens_valid_from) FROM users";
    let times = stored.database.query_row(times, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(times.unwrap(), (true, i64::MAX));
    let caller = Caller { valid_from_range: ValidFromRange::default(), ..stored.bob };
    assert!(matches!(stored.store.find_me(caller).await, Err(StoreError::CallerRejected)));
}
