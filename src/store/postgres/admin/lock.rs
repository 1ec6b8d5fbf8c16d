//! Who may migrate, and how long one waits: for the others who want to migrate, and for those who
//! use the tables.
//!
//! Nobody waits inside a statement here. A statement has a snapshot, and an index that is built
//! without locks waits for all snapshots that are older: two processes would wait for each other.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::store::migrate::{MigrateError, MigrateResult};

/// "posts", in ASCII: one lock for each database.
const KEY: i64 = 0x70_6f_73_74_73;
const PAUSE: Duration = Duration::from_millis(50);
/// Whoever queued behind a refused change gets ahead in between.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// The server's own cleaning of a table makes way for nobody who waits less than a second. This lock
/// it makes way for, and nobody else has to wait behind who waits for it.
const MAKE_WAY: &str = "
DO $$
DECLARE
    name text;
BEGIN
    SET LOCAL lock_timeout = '3s';
    FOREACH name IN ARRAY ARRAY['users', 'posts', 'votes', 'vote_counts'] LOOP
        IF to_regclass(name) IS NOT NULL THEN
            EXECUTE format('LOCK TABLE %I IN SHARE UPDATE EXCLUSIVE MODE', name);
        END IF;
    END LOOP;
END $$";

/// How long a process waits before it gives up.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For another process to end its step.
    pub others: Duration,
    /// For one statement to get its lock on a table.
    pub tables: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { others: Duration::from_mins(1), tables: Duration::from_mins(1) }
    }
}

/// Takes the lock for this session; the session's end would release it too.
pub(super) async fn take(client: &Client, patience: Duration) -> MigrateResult<()> {
    let deadline = Instant::now() + patience;
    loop {
        let taken = client.query_one("SELECT pg_try_advisory_lock($1)", &[&KEY]).await;
        if taken.and_then(|row| row.try_get(0)).map_err(database)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let who = holders(client).await.map_err(database)?;
            return Err(MigrateError::Busy(format!("waited {} s for {who}", patience.as_secs())));
        }
        sleep(PAUSE).await;
    }
}

pub(super) async fn release(client: &Client) -> MigrateResult<()> {
    client.execute("SELECT pg_advisory_unlock($1)", &[&KEY]).await.map_err(database)?;
    Ok(())
}

/// When to stop asking for a table.
pub(super) struct Attempts {
    deadline: Instant,
}

impl Attempts {
    pub(super) fn within(patience: Patience) -> Self {
        Self { deadline: Instant::now() + patience.tables }
    }

    /// After a pause, if what failed was a lock that may be had later.
    pub(super) async fn again(&self, client: &Client, error: Error) -> MigrateResult<()> {
        let refused = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
        if !error.code().is_some_and(|code| refused.contains(code)) {
            return Err(database(error));
        }
        if Instant::now() >= self.deadline {
            let who = users_of_tables(client).await.map_err(database)?;
            return Err(MigrateError::Refused(who));
        }
        // Whether it helps shows at the next attempt.
        let _ = client.batch_execute(MAKE_WAY).await;
        sleep(PAUSE_AFTER_REFUSAL).await;
        Ok(())
    }
}

pub(super) fn database(error: Error) -> MigrateError {
    MigrateError::Store(error.into())
}

async fn holders(client: &Client) -> Result<String, Error> {
    let rows = client
        .query(
            "SELECT format('the session %s (%s)', pid, coalesce(nullif(application_name, ''), usename))
               FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
              WHERE locktype = 'advisory' AND objsubid = 1 AND pg_locks.granted
                AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND (classid::bigint << 32 | objid::bigint) = $1",
            &[&KEY],
        )
        .await?;
    sentence(&rows, "a session that has ended since")
}

async fn users_of_tables(client: &Client) -> Result<String, Error> {
    let rows = client
        .query(
            "SELECT DISTINCT format('the session %s (%s) is %s since %s', pid,
                        coalesce(nullif(application_name, ''), usename), state, xact_start)
               FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND xact_start < clock_timestamp() - interval '1 second'
              ORDER BY 1 LIMIT 5",
            &[],
        )
        .await?;
    sentence(&rows, "they are used without a pause")
}

fn sentence(rows: &[tokio_postgres::Row], otherwise: &str) -> Result<String, Error> {
    let texts = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, Error>>()?;
    Ok(if texts.is_empty() { otherwise.to_owned() } else { texts.join(", ") })
}
