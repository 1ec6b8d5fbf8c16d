//! Rows that another program has written, with values that the service never writes. A value harms
//! at most the requests for its own row.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use post_api::auth::RefreshSecrets;
use post_api::domain::caller::Caller;
use post_api::domain::event::{Event, EventKind};
use post_api::domain::page::{Page, PostScope};
use post_api::domain::policy::DraftVisibility;
use post_api::domain::post::PostId;
use post_api::domain::session::NewSession;
use post_api::domain::user::{AccountKey, TokensValidFrom, UserId};
use post_api::store::migrate::{SchemaAdmin as _, migrate};
use post_api::store::postgres::{PostgresAdmin, PostgresOperator, PostgresStore};
use post_api::store::{OperatorStore as _, Result, StoreError};

use super::fresh_store::{FreshStore, email, noon, vote, with_valid_from};
use crate::support::{Cluster, PostgresDatabase};

/// Every column that the service reads as a time.
const TIMES: [(&str, &str); 10] = [
    ("users", "created_at"),
    ("users", "tokens_valid_from"),
    ("users", "email_verified_at"),
    ("posts", "created_at"),
    ("sessions", "created_at"),
    ("sessions", "used_at"),
    ("sessions", "expires_at"),
    ("sessions", "ends_at"),
    ("events", "at"),
    ("login_failures", "forgotten_at"),
];

/// Every column that the service reads as a text.
const TEXTS: [(&str, &str); 8] = [
    ("users", "email"),
    ("users", "password"),
    ("users", "name"),
    ("posts", "title"),
    ("posts", "content"),
    ("sessions", "user_agent"),
    ("events", "kind"),
    ("events", "client"),
];

const HOSTILE_TIMES: [&str; 6] = [
    "infinity",
    "-infinity",
    "4713-01-01 00:00:00 BC",
    "0001-01-01 00:00:00 BC",
    "9999-12-31 23:59:59.999999",
    "294276-12-31 23:59:59.999999",
];

/// Accounts `ada`, whose rows become hostile, and `bob`. Each has a post, a session and an event.
struct Fixture<'a> {
    database: PostgresDatabase<'a>,
    store: FreshStore,
    accounts: [Caller; 2],
    posts: [PostId; 2],
}

impl<'a> Fixture<'a> {
    async fn new(database: PostgresDatabase<'a>) -> Self {
        let store = Arc::new(PostgresStore::open(&database.address()).unwrap());
        let store = FreshStore::shared(store);
        let accounts = [store.sign_up("ada").await, store.sign_up("bob").await];
        let mut posts = Vec::new();
        for account in accounts {
            posts.push(store.write(account, "a title").await.id);
            let secrets = RefreshSecrets::generate().unwrap();
            let session = NewSession {
                user_id: account.user_id,
                tokens_valid_from: TokensValidFrom(account.valid_from_range.earliest()),
                family_hash: secrets.family_hash(),
                secret_hash: secrets.secret_hash(),
                user_agent: "a browser".to_owned(),
                now: noon(),
                expires_at: noon(),
                ends_at: noon(),
            };
            store.create_session(session).await.unwrap().unwrap();
            let event = Event {
                kind: EventKind::LoggedIn,
                at: noon(),
                client: Some("192.0.2.7".parse().unwrap()),
            };
            store.record_event(account.user_id, event).await.unwrap();
            let key = AccountKey(account.user_id.0);
            store.record_login_failure(key, noon()).await.unwrap();
        }
        Self { database, store, accounts, posts: [posts[0], posts[1]] }
    }

    /// Sets the column of every row of `ada`.
    fn set(&self, table: &str, column: &str, value: &str) {
        let owner = match table {
            "users" => "id",
            "posts" => "owner_id",
            "login_failures" => "account",
            _ => "user_id",
        };
        let ada = self.accounts[0].user_id.0;
        self.database
            .execute(&format!("UPDATE {table} SET {column} = {value} WHERE {owner} = {ada}"));
    }

    /// Reads everything that a caller can read, in the same batches as the other caller.
    async fn read(&self, caller: Caller) -> Vec<Result<()>> {
        let store = &self.store;
        let long_ago = "1990-01-01T00:00:00Z".parse().unwrap();
        let mut reads: Vec<Pin<Box<dyn Future<Output = Result<()>> + '_>>> = Vec::new();
        for post in self.posts {
            reads.push(Box::pin(async move {
                let found = store.find_post(caller, post).await?;
                assert!(found.is_some(), "{post:?}");
                Ok(())
            }));
            reads.push(Box::pin(
                async move { store.cast_vote(caller, vote(post, 1)).await.map(drop) },
            ));
        }
        reads.push(Box::pin(async move {
            let posts = store.list_posts(caller, Page::default()).await?;
            assert_eq!(posts.iter().count(), 2);
            Ok(())
        }));
        reads.push(Box::pin(async move {
            let accounts = self.accounts.map(|account| account.user_id).to_vec();
            store.find_names(accounts).await.map(drop)
        }));
        reads.push(Box::pin(async move {
            store.find_votes(caller, self.posts.to_vec()).await.map(drop)
        }));
        reads.push(Box::pin(async move { store.list_votes(caller, 2, None).await.map(drop) }));
        reads.push(Box::pin(store.find_caller(caller)));
        reads.push(Box::pin(async move { store.find_me(caller).await.map(drop) }));
        reads.push(Box::pin(async move { store.find_me_verified(caller).await.map(drop) }));
        for account in self.accounts {
            reads.push(Box::pin(async move { store.find_user(account.user_id).await.map(drop) }));
        }
        reads.push(Box::pin(async move { store.find_own_credentials(caller).await.map(drop) }));
        reads.push(Box::pin(async move { store.list_sessions(caller, long_ago).await.map(drop) }));
        reads.push(Box::pin(async move { store.list_events(caller).await.map(drop) }));
        reads.push(Box::pin(async move {
            let key = AccountKey(caller.user_id.0);
            store.count_login_failures(key, noon()).await.map(drop)
        }));
        join_all(reads).await
    }

    /// Reads as both callers at once. `bob` succeeds always, and `ada` unless she is locked out.
    async fn check(&self, case: &str, is_locked_out: bool) {
        let [ada, bob] = self.accounts;
        let (of_ada, of_bob) = tokio::join!(self.read(ada), self.read(bob));
        for outcome in of_bob {
            outcome.unwrap_or_else(|error| panic!("{case}: {error:?}"));
        }
        for outcome in of_ada {
            let is_rejected = matches!(outcome, Err(StoreError::CallerRejected));
            assert!(outcome.is_ok() || (is_locked_out && is_rejected), "{case}: {outcome:?}");
        }
        for name in ["ada", "bob"] {
            let found = self.store.find_credentials(email(name).into()).await;
            found.unwrap_or_else(|error| panic!("{case}: {error:?}"));
        }
    }
}

/// Creates a database with the encoding.
async fn database_in(encoding: &str) -> PostgresDatabase<'static> {
    let cluster = Cluster::shared();
    let name = format!("encoded_in_{}", encoding.to_lowercase());
    let options = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    cluster.execute("postgres", &format!("CREATE DATABASE {name} ENCODING '{encoding}' {options}"));
    let database = cluster.existing_database(&name);
    let mut admin = PostgresAdmin::connect(&database.address()).await.unwrap();
    let head = admin.migrations().len();
    migrate(&mut admin, head, noon(), |_| {}).await.unwrap();
    database
}

/// The tables of the cases have no further column of the type.
fn assert_complete(database: &PostgresDatabase<'_>, data_type: &str, cases: &[(&str, &str)]) {
    let columns = database.query_pairs(&format!(
        "SELECT table_name, column_name FROM information_schema.columns
          WHERE table_schema = 'public' AND data_type = '{data_type}'
            AND table_name IN ('users', 'posts', 'votes', 'vote_counts', 'sessions', 'events',
                               'login_failures')
            -- The first is compared in SQL and never read, and the second only by an operator.
            AND (table_name, column_name) NOT IN
                (('sessions', 'tokens_valid_from'), ('users', 'disabled_at'))"
    ));
    let columns: BTreeSet<(&str, &str)> =
        columns.iter().map(|(table, column)| (table.as_str(), column.as_str())).collect();
    assert_eq!(columns, cases.iter().copied().collect());
}

#[tokio::test]
async fn time_out_of_range_harms_no_reading() {
    let fixture = Fixture::new(Cluster::shared().database()).await;
    assert_complete(&fixture.database, "timestamp with time zone", &TIMES);
    let is_valid_from = |column: &str| column == "tokens_valid_from";
    for (table, column) in TIMES {
        for value in HOSTILE_TIMES {
            fixture.set(table, column, &format!("'{value}'"));
            fixture.check(&format!("{table}.{column} = {value}"), is_valid_from(column)).await;
        }
        let valid_from = fixture.accounts[0].valid_from_range.earliest();
        let usual = if is_valid_from(column) { valid_from } else { noon() };
        fixture.set(table, column, &format!("'{usual}'"));
    }
    fixture.check("usual values", false).await;
}

#[tokio::test]
async fn time_out_of_range_of_a_disabled_account_harms_no_operator() {
    let fixture = Fixture::new(Cluster::shared().database()).await;
    let mut operator = PostgresOperator::open(&fixture.database.address()).unwrap();
    for value in HOSTILE_TIMES {
        fixture.set("users", "disabled_at", &format!("'{value}'"));
        let listed = operator.list_accounts(UserId(0)).await.unwrap();
        assert!(listed.iter().any(|account| account.disabled_at.is_some()), "{value}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_harms_no_reading() {
    let fixture = Fixture::new(database_in("SQL_ASCII").await).await;
    assert_complete(&fixture.database, "text", &TEXTS);
    for (table, column) in TEXTS {
        fixture.set(table, column, "E'caf\\xE9 \\xFF'");
        fixture.check(&format!("{table}.{column}"), false).await;
        let usual = match column {
            "email" => "'ada@example.com'",
            "kind" => "'logged in'",
            _ => "'192.0.2.7'",
        };
        fixture.set(table, column, usual);
    }
    fixture.set("posts", "title", "E'caf\\xE9'");
    let [ada, _] = fixture.accounts;
    let post = fixture.store.read(ada, fixture.posts[0]).await.unwrap().post;
    assert_eq!(post.title.as_str(), "caf\u{fffd}");
}

/// PostgreSQL cannot send the text. The lists with the post fail, and all other requests succeed.
#[tokio::test]
async fn text_without_equivalent_harms_only_the_reading_of_its_post() {
    let fixture = Fixture::new(database_in("EUC_JP").await).await;
    fixture.set("posts", "title", "E'\\xA9\\xA1'");
    let [ada, bob] = fixture.accounts;
    let [unreadable, readable] = fixture.posts;
    let posts = [readable, unreadable, readable, unreadable];
    let reads = posts.map(|post| fixture.store.find_post(bob, post));
    let outcomes = join_all(reads).await;
    for (post, outcome) in posts.iter().zip(outcomes) {
        assert_eq!(outcome.is_ok(), *post == readable, "{outcome:?}");
    }
    let changed =
        fixture.store.find_changed_posts(fixture.posts.to_vec(), DraftVisibility::Private).await;
    let changed = changed.unwrap();
    assert!(changed.len() == 2 && changed.iter().all(|found| found.post.is_none()), "{changed:?}");
    let drafts = Page { scope: PostScope::OwnDrafts, ..Page::default() };
    let lists = [Page::default(), drafts].map(|page| fixture.store.list_posts(ada, page));
    let [all, drafts] = <[_; 2]>::try_from(join_all(lists).await).unwrap();
    assert!(all.is_err());
    assert_eq!(drafts.unwrap().iter().count(), 0);
}

/// An operator can lock an account out in this way, and a new login does not open it.
#[tokio::test]
async fn infinite_valid_from_rejects_every_token() {
    let fixture = Fixture::new(Cluster::shared().database()).await;
    let [ada, bob] = fixture.accounts;
    fixture.set("users", "tokens_valid_from", "'infinity'");
    let found = fixture.store.find_credentials(email("ada").into()).await.unwrap().unwrap();
    for caller in [ada, with_valid_from(ada, found.tokens_valid_from)] {
        let outcomes = fixture.read(caller).await;
        // Users, names and login failures are public to the routes that read them.
        let rejected = |outcome: &&Result<()>| matches!(outcome, Err(StoreError::CallerRejected));
        assert_eq!(outcomes.iter().filter(rejected).count(), outcomes.len() - 4);
    }
    for outcome in fixture.read(bob).await {
        outcome.unwrap();
    }
}
