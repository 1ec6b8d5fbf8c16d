//! Whether the server can confirm reads (`DATABASE_CONFIRM_READS`).

use tokio_postgres::{Client, Error};

use super::distribution::is_distributed;

const HAS_STANDBY: &str = "SELECT current_setting('synchronous_standby_names') <> ''";

/// Returns what is missing and its cure, if reads wait for no standby.
pub(super) async fn problem(
    client: &Client,
    confirms_reads: bool,
) -> Result<Option<(&'static str, &'static str)>, Error> {
    if confirms_reads && is_distributed(client).await? {
        return Ok(Some((
            "DATABASE_CONFIRM_READS is on, but Citus has distributed the tables",
            "set it to off, or bring the tables back with `post-api db undistribute`",
        )));
    }
    if !confirms_reads || client.query_one(HAS_STANDBY, &[]).await?.try_get(0)? {
        return Ok(None);
    }
    Ok(Some((
        "DATABASE_CONFIRM_READS is on, but synchronous_standby_names is empty: a former primary could \
         answer reads",
        "name the standbys in synchronous_standby_names, or set synchronous_mode in Patroni",
    )))
}
