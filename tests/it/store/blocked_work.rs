//! A PostgreSQL database in which long work does not end until the test says so.

use post_api::store::postgres::{Address, connect};

use crate::support::{Cluster, PostgresDatabase};

/// The title whose bytes are not counted until the work is released.
pub const SLOW_TITLE: &str = "slow";

/// The schema `public` comes before `pg_catalog`, so the statements of the service call these
/// functions. `octet_length` blocks a page with [`SLOW_TITLE`], `strpos` a scan of titles for `slow
/// scan`, and `LIKE` a search of the index.
const FUNCTIONS: &str = "
    CREATE FUNCTION wait_for_release() RETURNS void LANGUAGE plpgsql SET lock_timeout = 0 AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(1);
        PERFORM pg_advisory_unlock_shared(1);
    END $$;
    CREATE FUNCTION octet_length(text) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN
        IF $1 = 'slow' THEN PERFORM wait_for_release(); END IF;
        RETURN pg_catalog.octet_length($1);
    END $$;
    CREATE FUNCTION strpos(text, text) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN
        IF $2 = 'slow scan' THEN PERFORM wait_for_release(); END IF;
        RETURN pg_catalog.strpos($1, $2);
    END $$;
    CREATE FUNCTION slow_like(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM wait_for_release();
        RETURN $1 OPERATOR(pg_catalog.~~) $2;
    END $$;
    CREATE OPERATOR ~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = slow_like);";

pub struct BlockedDatabase {
    database: PostgresDatabase<'static>,
    blocker: tokio_postgres::Client,
}

impl BlockedDatabase {
    pub async fn new() -> Self {
        let database = Cluster::shared().database();
        database.execute(FUNCTIONS);
        let name = database.name();
        database.execute(&format!("ALTER DATABASE {name} SET search_path = public, pg_catalog"));
        let blocker = connect(&database.address()).await.unwrap();
        blocker.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
        Self { database, blocker }
    }

    /// Returns the address for a store. The server ends no statement by itself.
    pub fn address(&self) -> Address {
        let url = format!("{}?options=-c%20statement_timeout%3D0", self.database.url());
        Address::parse(&url).unwrap()
    }

    /// Returns the number of statements that wait for the release.
    pub async fn blocked(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event = 'advisory'";
        self.blocker.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Returns the number of the service's connections with a statement in flight.
    pub async fn active(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND state = 'active'
                      AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        self.blocker.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until this many statements wait for the release.
    pub async fn wait_until_blocked(&self, statements: i64) {
        while self.blocked().await != statements {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.blocker.query_one(&sql, &[]).await.unwrap().get(0)
    }

    pub async fn release(&self) {
        self.blocker.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    }

    pub fn execute(&self, sql: &str) {
        self.database.execute(sql);
    }
}
