//! The service on another database, with the same keys and clock.

use std::sync::Arc;

use post_api::store::postgres::PostgresStore;
use post_api::store::sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

use super::app::{TestDatabase, open_store};
use super::{Cluster, Engine, PostgresDatabase, Setup, TestApp, TestClock};

impl TestApp {
    /// Returns a service on a copy of the database: what a backup that is made now gives when it is
    /// restored.
    pub fn restored_copy(&self) -> Self {
        let clock = Arc::clone(&self.clock);
        match &self.database {
            TestDatabase::Postgres(database) => {
                let copy = Cluster::shared().empty_database();
                copy.execute(&database.dump());
                let store = Arc::new(PostgresStore::open(&copy.address()).unwrap());
                Self::build(Setup::default(), clock, store, TestDatabase::Postgres(copy))
            }
            TestDatabase::Sqlite(folder) => {
                let copy = TempDir::new().unwrap();
                let path = copy.path().join("posts.db");
                let database = Connection::open(folder.path().join("posts.db")).unwrap();
                database.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
                let store = Arc::new(SqliteStore::open(&path).unwrap());
                Self::build(Setup::default(), clock, store, TestDatabase::Sqlite(copy))
            }
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }

    /// Returns a service on this database.
    pub fn on(database: PostgresDatabase<'static>) -> Self {
        let store = Arc::new(PostgresStore::open(&database.address()).unwrap());
        let clock = Arc::new(TestClock::default());
        Self::build(Setup::default(), clock, store, TestDatabase::Postgres(database))
    }

    /// Returns a service on a new database.
    pub async fn with_empty_database(&self) -> Self {
        let (store, database) = open_store(self.engine()).await;
        Self::build(Setup::default(), Arc::clone(&self.clock), store, database)
    }

    pub fn engine(&self) -> Engine {
        match &self.database {
            TestDatabase::Sqlite(_) => Engine::Sqlite,
            TestDatabase::Postgres(_) => Engine::Postgres,
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }
}
