//! The lock between migrating processes, and retries of statements that need a lock on a table.
//!
//! A process waits between statements, never inside one. A statement holds a snapshot, and
//! `CREATE INDEX CONCURRENTLY` waits for all older snapshots: two processes would wait for each
//! other.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::store::migrate::{MigrateError, MigrateResult};

/// The key of the advisory lock: "posts" in ASCII.
const KEY: i64 = 0x70_6f_73_74_73;
const PAUSE: Duration = Duration::from_millis(50);
/// A longer pause, so that the statements that queued behind a refused change run first.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// Autovacuum yields only to a lock request that waits for at least a second. It yields to this
/// one. Reads and writes do not conflict with this lock, so they do not wait behind the request.
const YIELD_TO_AUTOVACUUM: &str = "
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

/// How long a migration waits for its locks before it fails.
#[derive(Debug, Clone, Copy)]
pub struct LockTimeouts {
    /// For another process that migrates the database.
    pub advisory: Duration,
    /// For the lock on a table that one statement needs.
    pub table: Duration,
}

impl Default for LockTimeouts {
    fn default() -> Self {
        Self { advisory: Duration::from_mins(1), table: Duration::from_mins(1) }
    }
}

/// Takes the advisory lock. The end of the database session would release it too.
///
/// # Errors
/// [`MigrateError::Busy`] if another session holds the lock for the whole timeout.
pub(super) async fn take(client: &Client, timeout: Duration) -> MigrateResult<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let taken = client.query_one("SELECT pg_try_advisory_lock($1)", &[&KEY]).await?;
        if taken.try_get(0)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let holders = describe_holders(client).await?;
            let seconds = timeout.as_secs();
            return Err(MigrateError::Busy(format!("waited {seconds} s for {holders}")));
        }
        sleep(PAUSE).await;
    }
}

pub(super) async fn release(client: &Client) -> MigrateResult<()> {
    client.execute("SELECT pg_advisory_unlock($1)", &[&KEY]).await?;
    Ok(())
}

/// Retries a statement that could not lock a table, until the timeout.
pub(super) struct Retry {
    deadline: Instant,
}

impl Retry {
    pub(super) fn within(timeouts: LockTimeouts) -> Self {
        Self { deadline: Instant::now() + timeouts.table }
    }

    /// Waits until the statement may be retried.
    ///
    /// # Errors
    /// `error` if it is not about a lock, or [`MigrateError::TablesInUse`] if the timeout has
    /// passed.
    pub(super) async fn after(&self, client: &Client, error: Error) -> MigrateResult<()> {
        let lock_errors = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
        if !error.code().is_some_and(|code| lock_errors.contains(code)) {
            return Err(error.into());
        }
        if Instant::now() >= self.deadline {
            return Err(MigrateError::TablesInUse(describe_users_of_tables(client).await?));
        }
        // If this fails, the next attempt fails too, with a more useful error.
        let _ = client.batch_execute(YIELD_TO_AUTOVACUUM).await;
        sleep(PAUSE_AFTER_REFUSAL).await;
        Ok(())
    }
}

async fn describe_holders(client: &Client) -> Result<String, Error> {
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
    join_or(&rows, "a session that has ended since")
}

async fn describe_users_of_tables(client: &Client) -> Result<String, Error> {
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
    join_or(&rows, "many short transactions use them without a pause")
}

fn join_or(rows: &[tokio_postgres::Row], otherwise: &str) -> Result<String, Error> {
    let texts = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, Error>>()?;
    Ok(if texts.is_empty() { otherwise.to_owned() } else { texts.join(", ") })
}
