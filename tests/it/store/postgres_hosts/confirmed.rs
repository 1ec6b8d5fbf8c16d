//! Confirmed reads: no answer without the synchronous standby.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use post_api::domain::caller::Caller;
use post_api::domain::post::PostId;
use post_api::store::inspection::{Inspection, InspectionStore as _, Verdict};
use post_api::store::migrate::SchemaAdmin as _;
use post_api::store::postgres::{PoolLimits, PostgresAdmin, PostgresInspector, PostgresStore};
use post_api::store::{Result, StoreError};

use super::super::fresh_store::{FreshStore, noon, vote};
use super::fence::read_all;
use crate::support::{Cluster, PostgresDatabase};

/// Two stores on one server: one confirms its reads.
struct Stores {
    confirming: FreshStore,
    other: FreshStore,
    ada: Caller,
}

impl Stores {
    /// Without prepared statements, the texts for a pooler are used.
    async fn open(database: &PostgresDatabase<'_>, is_prepared: bool) -> Self {
        let limits = PoolLimits {
            failover_wait: Duration::ZERO,
            // Ends a search, but not the wait for the standby.
            search_timeout: Duration::from_millis(300),
            statement_timeout: Duration::from_secs(2),
            ..PoolLimits::default()
        };
        let open = |confirms| {
            let address = database.address().with_prepared(is_prepared);
            let address = address.with_confirmed_reads(confirms);
            FreshStore::shared(Arc::new(PostgresStore::open_with(&address, limits).unwrap()))
        };
        let (confirming, other) = (open(true), open(false));
        let ada = other.sign_up(&format!("ada{is_prepared}")).await;
        other.write(ada, "post").await;
        Self { confirming, other, ada }
    }

    /// Reads, and sends writes that change nothing.
    async fn ask(&self, store: &FreshStore) -> Vec<Result<()>> {
        let mut outcomes = read_all(store, self.ada).await;
        outcomes.push(store.cast_vote(self.ada, vote(PostId(999), 1)).await.map(drop));
        outcomes.push(store.delete_post(self.ada, PostId(999), None).await.map(drop));
        outcomes
    }

    /// Only the confirming store gives no answer.
    async fn assert_unconfirmed(&self) {
        let (confirming, other) =
            futures_util::future::join(self.ask(&self.confirming), self.ask(&self.other)).await;
        for (index, outcome) in confirming.into_iter().enumerate() {
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{index}: {outcome:?}");
        }
        for outcome in other {
            outcome.unwrap();
        }
    }

    async fn assert_confirmed(&self) {
        // A connection that was slow is replaced.
        while self.confirming.check_ready().await.is_err() {}
        for outcome in self.ask(&self.confirming).await {
            outcome.unwrap();
        }
    }
}

pub(super) fn set_standbys(cluster: &Cluster, names: &str) {
    cluster.execute("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
    cluster.execute("postgres", "SELECT pg_reload_conf()");
    let database = cluster.existing_database("postgres");
    while database.query("SHOW synchronous_standby_names") != [names] {}
}

#[tokio::test]
async fn confirmed_read_waits_for_the_synchronous_standby() {
    let cluster = Cluster::start("");
    let name = cluster.database().keep();
    let database = cluster.existing_database(&name);
    let stores = join_all([true, false].map(|mode| Stores::open(&database, mode))).await;
    for stores in &stores {
        stores.assert_confirmed().await;
    }
    set_standbys(&cluster, "gone");
    join_all(stores.iter().map(Stores::assert_unconfirmed)).await;
    set_standbys(&cluster, "");
    for stores in &stores {
        stores.assert_confirmed().await;
    }
}

#[tokio::test]
async fn former_primary_beside_a_new_one_answers_no_confirmed_read() {
    let primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    let standby = primary.standby();
    set_standbys(&primary, "*");
    let database = primary.existing_database(&name);
    let stores = Stores::open(&database, true).await;
    stores.assert_confirmed().await;
    standby.promote();
    let other = standby.existing_database(&name);
    other.execute("ALTER SYSTEM RESET synchronous_standby_names");
    other.execute("SELECT pg_reload_conf()");
    while other.query("SHOW synchronous_standby_names") != [""] {}
    other.execute("DELETE FROM posts");
    // The other store still finds the post.
    stores.assert_unconfirmed().await;
    let found = stores.other.find_post(stores.ada, PostId(1)).await.unwrap();
    assert!(found.is_some());
}

#[tokio::test]
async fn missing_standby_names_are_reported() {
    let cluster = Cluster::start("fsync = on\nfull_page_writes = on\n");
    let name = cluster.database().keep();
    let database = cluster.existing_database(&name);
    for (names, confirms, is_reported) in
        [("", true, true), ("", false, false), ("gone", true, false)]
    {
        set_standbys(&cluster, names);
        let address = database.address().with_confirmed_reads(confirms);
        let notes = PostgresAdmin::connect(&address).await.unwrap().notes().await.unwrap();
        let is_about = |text: &str| text.contains("synchronous_standby_names is empty");
        assert_eq!(notes.iter().any(|note| is_about(note)), is_reported, "{notes:?}");
        let mut inspector = PostgresInspector::connect(&address).await.unwrap();
        let inspection = Inspection { is_full: false, now: &noon };
        let findings = inspector.inspect(inspection).await;
        let (_, durability) = findings.iter().find(|(check, _)| *check == "durability").unwrap();
        let expected = if is_reported { Verdict::Warn } else { Verdict::Ok };
        assert_eq!(durability.verdict, expected, "{durability:?}");
    }
}
