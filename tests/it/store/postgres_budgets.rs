//! Connections of the PostgreSQL store: who may wait for whom, and what a client that leaves costs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use post_api::domain::caller::Caller;
use post_api::domain::page::{Page, PostScope};
use post_api::store::page_limits::MAX_SHORT_SKIP;
use post_api::store::postgres::{Address, PoolLimits, PostgresStore};
use post_api::store::{Readiness, Result, StoreError};
use tokio::task::JoinHandle;

use super::blocked_work::{BlockedDatabase, SLOW_TITLE};
use super::fresh_store::{FreshStore, email, search};
use crate::support::Cluster;

fn open(address: &Address, limits: PoolLimits) -> Arc<FreshStore> {
    Arc::new(FreshStore::shared(Arc::new(PostgresStore::open_with(address, limits).unwrap())))
}

/// Timeouts that no request reaches, even on a busy machine.
fn patient() -> PoolLimits {
    let never = Duration::from_hours(1);
    PoolLimits {
        acquire_timeout: never,
        statement_timeout: never,
        search_timeout: never,
        answer_timeout: never,
        ..PoolLimits::default()
    }
}

/// Returns a page for each kind of work whose length depends on the number of rows.
fn long_pages() -> Vec<Page> {
    let limited = Page { limit: Some(10), ..Page::default() };
    let drafts = Page { scope: PostScope::OwnDrafts, ..limited.clone() };
    vec![
        Page { limit: Some(10), ..search("slow scan") },
        Page { limit: Some(10), ..search("slow index") },
        search("slow index"),
        Page { search: Some("slow scan".to_owned()), ..drafts.clone() },
        Page { search: Some("slow scan".to_owned()), limit: None, ..drafts.clone() },
        Page { limit: None, ..limited.clone() },
        Page { limit: None, skip: 1, ..limited.clone() },
        Page { skip: MAX_SHORT_SKIP + 1, ..limited },
        Page { skip: MAX_SHORT_SKIP + 1, ..drafts },
    ]
}

/// Adds two posts and two drafts of the caller with [`SLOW_TITLE`] behind as many other ones as a
/// short list can skip. A page with only one of them would not count its bytes.
fn add_slow_posts(database: &BlockedDatabase, caller: Caller) {
    database.execute(&format!(
        "INSERT INTO posts (title, content, published, created_at, owner_id)
         SELECT CASE WHEN number <= 4 THEN '{SLOW_TITLE}' ELSE 'quick' END, 'text',
                number % 2 = 0, now(), {}
           FROM generate_series(1, {}) AS number",
        caller.user_id.0,
        2 * (MAX_SHORT_SKIP + 3),
    ));
}

fn start(store: &Arc<FreshStore>, caller: Caller, page: Page) -> JoinHandle<Result<usize>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.list_posts(caller, page).await.map(|posts| posts.len()) })
}

/// Each kind of long work uses at most its budget, and everything else is answered meanwhile.
#[tokio::test]
async fn blocked_long_work_leaves_connections_to_all_others() {
    let database = BlockedDatabase::new().await;
    // Another request fails at once if it must wait for long work.
    let limits = PoolLimits { acquire_timeout: Duration::from_millis(1), ..patient() };
    for page in long_pages() {
        let store = open(&database.address(), limits);
        let ada = store.sign_up(&format!("ada{}", database.count("users").await)).await;
        let post = store.write(ada, "post").await.id;
        add_slow_posts(&database, ada);
        let mut long_work: Vec<_> = (0..32).map(|_| start(&store, ada, page.clone())).collect();
        // A request that opens its connection too slowly is refused, and another takes its place.
        while database.blocked().await != i64::try_from(limits.long_work).unwrap() {
            long_work.push(start(&store, ada, page.clone()));
        }

        let name = format!("bob{}", database.count("users").await);
        let bob = store.sign_up(&name).await;
        assert!(store.find_post(bob, post).await.unwrap().is_some(), "{page:?}");
        let first = Page { limit: Some(10), ..Page::default() };
        assert_eq!(store.titles(bob, first.clone()).await.len(), 10, "{page:?}");
        store.vote(bob, post, 1).await;
        store.vote(bob, post, 0).await;
        store.write(bob, "another").await;
        store.find_me(bob).await.unwrap();
        store.find_caller(bob).await.unwrap();
        store.find_credentials(email(&name).into()).await.unwrap().unwrap();
        assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
        assert!(database.active().await <= i64::try_from(limits.long_work).unwrap(), "{page:?}");
        for task in long_work {
            task.abort();
        }
        database.wait_until_blocked(0).await;
    }
}

/// A request that waits for the budget of long work is refused.
#[tokio::test]
async fn long_work_beyond_its_budget_is_refused() {
    let database = BlockedDatabase::new().await;
    let limits = PoolLimits { acquire_timeout: Duration::from_millis(1), ..patient() };
    let store = open(&database.address(), limits);
    let ada = store.sign_up("ada").await;
    store.write(ada, "post").await;
    let page = Page { limit: Some(10), ..search("slow scan") };
    let mut blocked = Vec::new();
    for count in 1..=limits.long_work {
        blocked.push(start(&store, ada, page.clone()));
        database.wait_until_blocked(i64::try_from(count).unwrap()).await;
    }
    let refused = start(&store, ada, page).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
    for task in blocked {
        task.abort();
    }
}

/// Clients that request long work and leave at once.
#[tokio::test]
async fn statements_whose_clients_left_are_cancelled() {
    let database = BlockedDatabase::new().await;
    let limits = patient();
    let store = open(&database.address(), limits);
    let ada = store.sign_up("ada").await;
    add_slow_posts(&database, ada);
    let long_work = i64::try_from(limits.long_work).unwrap();
    for page in long_pages() {
        for _ in 0..4 {
            let tasks: Vec<_> = (0..long_work).map(|_| start(&store, ada, page.clone())).collect();
            // Also those of the round before have ended by then, or count.
            database.wait_until_blocked(long_work).await;
            assert!(database.active().await <= long_work, "{page:?}");
            for task in tasks {
                task.abort();
            }
        }
        database.wait_until_blocked(0).await;
    }
    database.release().await;
    let page = Page { limit: Some(1), ..search("slow scan") };
    assert_eq!(store.list_posts(ada, page).await.unwrap().len(), 0);
}

/// The role may open fewer connections than the pool would.
#[tokio::test]
async fn refused_connection_is_no_error_while_others_are_open() {
    for connections in [1, 2, 5] {
        let database = Cluster::shared().database();
        let role = format!("few_{}", database.name());
        database.execute(&format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT {connections};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ));
        let address = Address::parse(&database.url().replace("tester@", &format!("{role}@")));
        let store = open(&address.unwrap(), patient());
        let ada = store.sign_up("ada").await;
        let post = store.write(ada, "post number one").await.id;
        let requests = (0..24).map(|number| {
            let store = &store;
            async move {
                let page = |page| Page { limit: Some(10), ..page };
                match number % 8 {
                    0 => store.find_me(ada).await.map(|_| ()),
                    1 => store.find_post(ada, post).await.map(|_| ()),
                    2 => store.list_posts(ada, page(Page::default())).await.map(|_| ()),
                    3 => store.list_posts(ada, page(search("number"))).await.map(|_| ()),
                    4 => store.list_posts(ada, Page::default()).await.map(|_| ()),
                    5 => store.find_user(ada.user_id).await.map(|_| ()),
                    6 => store.find_credentials(email("ada").into()).await.map(|_| ()),
                    _ => store.check_ready().await.map(|_| ()),
                }
            }
        });
        for (number, outcome) in join_all(requests).await.into_iter().enumerate() {
            outcome.unwrap_or_else(|error| panic!("{connections}, request {number}: {error:?}"));
        }
        drop(store);
        database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    }
}

#[tokio::test]
async fn store_opens_at_most_the_connections_of_its_setting() {
    for size in [3, 5] {
        let database = Cluster::shared().database();
        let address = Address::parse(&format!("{}?application_name=pool", database.url()));
        let address = address.unwrap().with_pool_size(size);
        let store = FreshStore::shared(Arc::new(PostgresStore::open(&address).unwrap()));
        let ada = store.sign_up("ada").await;
        let post = store.write(ada, "post number one").await.id;
        let requests = (0..60).map(|number| {
            let store = &store;
            async move {
                // On a slow machine some are refused, which does not matter here.
                match number % 4 {
                    0 => drop(store.find_me(ada).await),
                    1 => drop(store.find_post(ada, post).await),
                    2 => drop(store.list_posts(ada, search("number")).await),
                    _ => drop(store.check_ready().await),
                }
            }
        });
        join_all(requests).await;
        let open = "SELECT count(*) BETWEEN 2 AND {size} FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'pool'";
        assert_eq!(database.query(&open.replace("{size}", &size.to_string())), ["t"], "{size}");
    }
}

/// A text whose trigrams occur in every title: the index returns all posts.
#[tokio::test]
async fn index_search_that_takes_too_long_returns_what_the_scan_found() {
    let database = BlockedDatabase::new().await;
    let limits = PoolLimits { search_timeout: Duration::from_millis(50), ..patient() };
    let ada = open(&database.address(), patient()).sign_up("ada").await;
    database.execute(&format!(
        "INSERT INTO posts (title, content, published, created_at, owner_id)
         SELECT CASE WHEN number IN (1, 1200) THEN 'needle ' || number ELSE 'hay' END, 'text',
                true, now(), {}
           FROM generate_series(1, 1200) AS number",
        ada.user_id.0
    ));
    let page = Page { limit: Some(100), ..search("needle") };
    for is_prepared in [true, false] {
        let store = open(&database.address().with_prepared(is_prepared), limits);
        for _ in 0..3 {
            assert_eq!(store.titles(ada, page.clone()).await, ["needle 1200"], "{is_prepared}");
        }
        // The connection can be used again, and no limit stays on it.
        assert_eq!(database.active().await, 0);
        store.find_me(ada).await.unwrap();
    }
    database.release().await;
    for is_prepared in [true, false] {
        let store = open(&database.address().with_prepared(is_prepared), patient());
        assert_eq!(store.titles(ada, page.clone()).await, ["needle 1200", "needle 1"]);
    }
}

#[tokio::test]
async fn draft_search_that_takes_too_long_returns_the_newest_matches() {
    let database = BlockedDatabase::new().await;
    let limits = PoolLimits { search_timeout: Duration::from_millis(50), ..patient() };
    let store = open(&database.address(), limits);
    let ada = store.sign_up("ada").await;
    add_slow_posts(&database, ada);
    // More than the newest titles that the search scans in any case.
    database.execute(&format!(
        "INSERT INTO posts (title, content, published, created_at, owner_id)
         SELECT 'a needle', 'text', false, now(), {} FROM generate_series(1, 50)",
        ada.user_id.0
    ));
    let page = Page { limit: Some(51), scope: PostScope::OwnDrafts, ..search("needle") };
    assert_eq!(store.titles(ada, page).await.len(), 50);
    assert_eq!(database.active().await, 0);
}

/// All lists without a limit share the memory until they are dropped.
#[tokio::test]
async fn list_without_limit_beyond_the_memory_is_refused_and_cancelled() {
    let database = Cluster::shared().database();
    let limits = PoolLimits { list_bytes: 64 * 1024, ..patient() };
    let store = open(&database.address(), limits);
    let ada = store.sign_up("ada").await;
    database.execute(&format!(
        "INSERT INTO posts (title, content, published, created_at, owner_id)
         SELECT 'needle', repeat('x', 1024), true, now(), {} FROM generate_series(1, 100)",
        ada.user_id.0
    ));
    for page in [Page::default(), search("needle")] {
        let alone = store.list_posts(ada, page.clone()).await.unwrap();
        assert_eq!(alone.len(), 100, "a list that is alone may exceed the memory");
        for other in [Page::default(), search("needle")] {
            let refused = store.list_posts(ada, other).await.map(|posts| posts.len());
            assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
        }
        let limited = Page { limit: Some(100), ..page.clone() };
        assert_eq!(store.list_posts(ada, limited).await.unwrap().len(), 100);
        drop(alone);
        assert_eq!(store.list_posts(ada, page).await.unwrap().len(), 100);
    }
}
