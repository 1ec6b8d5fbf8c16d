//! Migrations that a newer release applied, recorded by hand: this binary keeps serving if the
//! history says that it can work with the database.

use std::sync::Arc;

use post_api::store::migrate::{
    Applied, MigrateError, POSTGRES, SQLITE, SchemaAdmin, count_applied, migrate, newer_revisions,
};
use post_api::store::postgres::{Address, PostgresAdmin, PostgresStore};
use post_api::store::sqlite::{SqliteAdmin, SqliteStore};
use post_api::store::{Readiness, Store};
use tempfile::TempDir;

use super::postgres::Database;
use crate::store::fresh_store::{new_user, noon};

/// A migrated database of either store.
enum Case {
    Sqlite(TempDir),
    Postgres(Database),
}

impl Case {
    async fn both() -> [Self; 2] {
        let folder = TempDir::new().unwrap();
        let mut admin = SqliteAdmin::new(&folder.path().join("posts.db"));
        migrate(&mut admin, SQLITE.len(), noon(), |_| {}).await.unwrap();
        let database = Database::newest();
        [Self::Sqlite(folder), Self::Postgres(database)]
    }

    async fn run(&self, statement: &str) {
        match self {
            Self::Sqlite(folder) => {
                let database = rusqlite::Connection::open(folder.path().join("posts.db")).unwrap();
                database.execute_batch(&statement.replace("now()", "0")).unwrap();
            }
            Self::Postgres(database) => database.run(statement).await,
        }
    }

    async fn admin(&self) -> Box<dyn SchemaAdmin> {
        match self {
            Self::Sqlite(folder) => Box::new(SqliteAdmin::new(&folder.path().join("posts.db"))),
            Self::Postgres(database) => {
                let address = Address::parse(&database.url).unwrap();
                Box::new(PostgresAdmin::connect(&address).await.unwrap())
            }
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(folder) => {
                Arc::new(SqliteStore::open(&folder.path().join("posts.db")).unwrap())
            }
            Self::Postgres(database) => {
                Arc::new(PostgresStore::open(&Address::parse(&database.url).unwrap()).unwrap())
            }
        }
    }

    /// Records a migration of a newer release.
    async fn record(&self, revision: &str, compatible_from: Option<&str>) {
        let oldest = compatible_from.map_or("NULL".to_owned(), |oldest| format!("'{oldest}'"));
        self.run(&format!(
            "INSERT INTO schema_migrations (revision, checksum, applied_at, compatible_from)
             VALUES ('{revision}', 'theirs', now(), {oldest})"
        ))
        .await;
    }
}

fn newest() -> &'static str {
    SQLITE.last().unwrap().revision
}

#[tokio::test]
async fn compatible_migration_of_newer_release_keeps_the_service_ready() {
    for case in Case::both().await {
        let running = case.store();
        assert_eq!(running.check_ready().await.unwrap(), Readiness::Ready);
        case.record("9998_next", Some(newest())).await;
        case.record("9999_after", Some(SQLITE[0].revision)).await;
        for store in [running, case.store()] {
            assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
        }
        case.store().create_user(new_user("ada")).await.unwrap();
        let mut admin = case.admin().await;
        let applied = admin.applied().await.unwrap();
        assert_eq!(newer_revisions(SQLITE, &applied), ["9998_next", "9999_after"]);
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0]);
        let notes = admin.notes().await.unwrap();
        assert!(notes[0].contains("9998_next, 9999_after"), "{notes:?}");
        assert!(admin.step_towards(SQLITE.len(), noon()).await.unwrap().is_none());
        assert_eq!(admin.plan(SQLITE.len()).await.unwrap(), [""; 0]);
        for target in [0, SQLITE.len() - 1] {
            let refused = admin.step_towards(target, noon()).await;
            assert!(matches!(refused, Err(MigrateError::Newer(name)) if name == "9998_next"));
            assert!(matches!(admin.plan(target).await, Err(MigrateError::Newer(_))));
        }
    }
}

#[tokio::test]
async fn incompatible_migration_of_newer_release_makes_the_service_unready() {
    for compatible_from in [None, Some("9998_before")] {
        for case in Case::both().await {
            let running = case.store();
            case.record("9999_next", compatible_from).await;
            assert_eq!(running.check_ready().await.unwrap(), Readiness::WrongRevision);
            let mut admin = case.admin().await;
            let refused = admin.step_towards(SQLITE.len(), noon()).await;
            assert!(matches!(refused, Err(MigrateError::Unknown(name)) if name == "9999_next"));
            case.run("DELETE FROM schema_migrations WHERE revision = '9999_next'").await;
            assert_eq!(running.check_ready().await.unwrap(), Readiness::Ready);
        }
    }
}

#[tokio::test]
async fn downgrade_under_the_service_makes_it_unready_until_the_upgrade() {
    for case in Case::both().await {
        let running = case.store();
        assert_eq!(running.check_ready().await.unwrap(), Readiness::Ready);
        let mut admin = case.admin().await;
        migrate(admin.as_mut(), 5, noon(), |_| {}).await.unwrap();
        assert_eq!(running.check_ready().await.unwrap(), Readiness::WrongRevision);
        migrate(admin.as_mut(), SQLITE.len(), noon(), |_| {}).await.unwrap();
        assert_eq!(running.check_ready().await.unwrap(), Readiness::Ready);
    }
}

/// An earlier release made the history without the column.
#[tokio::test]
async fn history_of_an_earlier_release_is_read_and_completed() {
    for case in Case::both().await {
        let mut admin = case.admin().await;
        migrate(admin.as_mut(), SQLITE.len() - 1, noon(), |_| {}).await.unwrap();
        case.run("ALTER TABLE schema_migrations DROP COLUMN compatible_from").await;
        let mut admin = case.admin().await;
        assert_eq!(admin.applied().await.unwrap().len(), SQLITE.len() - 1);
        let store = case.store();
        assert_eq!(store.check_ready().await.unwrap(), Readiness::WrongRevision);
        migrate(admin.as_mut(), SQLITE.len(), noon(), |_| {}).await.unwrap();
        assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
        case.record("9999_next", Some(newest())).await;
        assert_eq!(store.check_ready().await.unwrap(), Readiness::Ready);
    }
}

#[test]
fn unknown_migration_counts_only_behind_the_known_ones() {
    let applied = |revision: &str, checksum: String, from: Option<&str>| Applied {
        revision: revision.to_owned(),
        checksum,
        applied_at: noon(),
        compatible_from: from.map(str::to_owned),
    };
    let known: Vec<Applied> =
        SQLITE.iter().map(|found| applied(found.revision, found.checksum(), None)).collect();
    let theirs = |revision: &str| applied(revision, "theirs".to_owned(), Some(newest()));
    let behind = [known.clone(), vec![theirs("9999_next")]].concat();
    assert_eq!(count_applied(SQLITE, &behind).unwrap(), SQLITE.len());
    let gap = [known[..2].to_vec(), vec![theirs("9999_next")]].concat();
    assert!(matches!(count_applied(SQLITE, &gap), Err(MigrateError::Unknown(_))));
    let inserted = [known, vec![theirs("0001_a")]].concat();
    assert!(matches!(count_applied(SQLITE, &inserted), Err(MigrateError::Unknown(_))));
}

/// A binary that knows a migration also knows the revision that an older one needs.
#[test]
fn migrations_are_compatible_from_earlier_revisions() {
    for migrations in [SQLITE, POSTGRES] {
        for (number, migration) in migrations.iter().enumerate() {
            if let Some(oldest) = migration.compatible_from {
                let known = migrations.iter().position(|known| known.revision == oldest);
                assert!(known.is_some_and(|at| at < number), "{}", migration.revision);
            }
        }
    }
}
