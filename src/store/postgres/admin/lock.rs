//! One process at a time: a lock of the session, asked for again and again.
//!
//! Not waited for inside a statement: whoever waits there holds a snapshot, and building an index
//! concurrently waits for everybody's snapshots, so that the two would wait for each other.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::store::StoreError;
use crate::store::migrate::{MigrateError, MigrateResult};

/// Known to nobody but the service: `post-api` in ASCII.
const KEY: i64 = 0x706f_7374_2d61_7069;

const PAUSE: Duration = Duration::from_millis(20);

/// # Errors
/// [`MigrateError::Locked`] if somebody else keeps it for longer than the patience lasts.
pub(super) async fn take(client: &Client, patience: Duration) -> MigrateResult<()> {
    let end = Instant::now() + patience;
    loop {
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&KEY]).await;
        if row.and_then(|row| row.try_get(0)).map_err(StoreError::from)? {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(MigrateError::Locked);
        }
        sleep(PAUSE).await;
    }
}

/// Everything that this session locked; a session that ends does the same.
pub(super) async fn give_back(client: &Client) -> MigrateResult<()> {
    client.execute("SELECT pg_advisory_unlock_all()", &[]).await.map_err(StoreError::from)?;
    Ok(())
}
