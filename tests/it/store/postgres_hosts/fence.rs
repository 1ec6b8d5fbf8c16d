//! The fence of reads: behind a pooler in transaction mode, a standby answers no read.

use std::sync::Arc;

use post_api::domain::page::Page;
use post_api::store::postgres::{Address, PostgresStore, connect, request_statements};
use post_api::store::{Result, StoreError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::super::fresh_store::{FreshStore, email, search};
use crate::support::{Cluster, Pooler};

/// Statements that check the server and the schema themselves, before any request reads.
const UNFENCED: [&str; 8] = [
    "CONFIRM",
    "FIND_POSITION",
    "HAS_HISTORY",
    "READ_HISTORY",
    "FIND_HIDDEN_TABLES",
    "FIND_SEARCH_INDEX",
    "IS_DISTRIBUTED",
    "IS_READ_ONLY",
];

/// Neither a read nor a write of a request succeeds on a standby, also if no row matches.
#[tokio::test]
async fn every_request_statement_fails_on_a_standby() {
    let primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    let standby = primary.standby();
    let url = format!("{}?target_session_attrs=any", standby.url(&name));
    let client = connect(&Address::parse(&url).unwrap()).await.unwrap();
    let mut fenced = 0;
    for statement in request_statements().filter(|one| !UNFENCED.contains(&one.name)) {
        let types: Vec<&str> = statement.types.iter().map(Type::name).collect();
        let types =
            if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        let nulls = vec!["NULL"; statement.types.len()].join(", ");
        let values = if nulls.is_empty() { String::new() } else { format!(" ({nulls})") };
        let name = statement.name;
        let expected = if statement.fenced.is_some() { "55000" } else { "25006" };
        for (kind, sql) in [("fenced", statement.fenced), ("confirmed", statement.confirmed)] {
            let sql = sql.unwrap_or(statement.sql);
            client.batch_execute(&format!("PREPARE {name}_{kind}{types} AS {sql}")).await.unwrap();
            let run = format!("EXECUTE {name}_{kind}{values}");
            let error = client.batch_execute(&run).await.unwrap_err();
            assert_eq!(error.code().map(SqlState::code), Some(expected), "{name}: {error:?}");
        }
        fenced += usize::from(statement.fenced.is_some());
    }
    assert!(fenced >= 40, "{fenced}");
}

/// Reads on all ways through the store.
pub(super) async fn read_all(
    store: &FreshStore,
    ada: post_api::domain::caller::Caller,
) -> Vec<Result<()>> {
    let first = Page { limit: Some(10), ..Page::default() };
    vec![
        store.find_caller(ada).await,
        store.find_me(ada).await.map(drop),
        store.find_user(ada.user_id).await.map(drop),
        store.find_credentials(email("ada").into()).await.map(drop),
        store.find_post(ada, post_api::domain::post::PostId(1)).await.map(drop),
        store.list_posts(ada, first.clone()).await.map(drop),
        store.list_posts(ada, Page { limit: None, ..first }).await.map(drop),
        store.list_posts(ada, Page { limit: Some(3), ..search("post") }).await.map(drop),
        store.find_votes(ada, vec![post_api::domain::post::PostId(1)]).await.map(drop),
    ]
}

#[tokio::test]
async fn pooler_that_moves_to_a_standby_gives_no_stale_read() {
    let primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    let standby = primary.standby();
    let pooler = Pooler::start(&primary, "pool_mode = transaction\n", &name).await;
    let address = Address::parse(&pooler.url(&name)).unwrap().with_prepared(false);
    let store = FreshStore::shared(Arc::new(PostgresStore::open(&address).unwrap()));
    let ada = store.sign_up("ada").await;
    store.write(ada, "post").await;
    for outcome in read_all(&store, ada).await {
        outcome.unwrap();
    }
    pooler.move_to(&standby).await;
    for (index, outcome) in read_all(&store, ada).await.into_iter().enumerate() {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{index}: {outcome:?}");
    }
    pooler.move_to(&primary).await;
    for outcome in read_all(&store, ada).await {
        outcome.unwrap();
    }
}

/// A server with another log has no such function. Reads work, without a fence.
#[tokio::test]
async fn server_without_the_function_serves_reads_without_a_fence() {
    let cluster = Cluster::start("");
    let name = cluster.database().keep();
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC;
                  CREATE ROLE serving LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO serving;
                  GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO serving";
    cluster.execute(&name, revoke);
    let url = cluster.url(&name).replace("tester@", "serving@");
    let address = Address::parse(&url).unwrap().with_prepared(false);
    let store = FreshStore::shared(Arc::new(PostgresStore::open(&address).unwrap()));
    let ada = store.sign_up("ada").await;
    store.write(ada, "post").await;
    for outcome in read_all(&store, ada).await {
        outcome.unwrap();
    }
}
