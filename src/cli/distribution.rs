//! `post-api db distribute` and `db undistribute`: the tables on the servers of Citus.

use super::exit::Exit;
use super::output::{NOTHING_TO_DO, print};
use crate::config::Database;
use crate::store::migrate::SchemaAdmin as _;
use crate::store::postgres::PostgresAdmin;

pub(super) async fn distribute(database: &Database, shards: u32) -> Result<(), Exit> {
    let mut admin = open(database).await?;
    if !admin.distribute(shards).await? {
        return print(NOTHING_TO_DO);
    }
    for note in admin.notes().await? {
        print(&note)?;
    }
    Ok(())
}

pub(super) async fn undistribute(database: &Database) -> Result<(), Exit> {
    let is_done = open(database).await?.undistribute().await?;
    print(if is_done { "all rows are on this server" } else { NOTHING_TO_DO })
}

async fn open(database: &Database) -> Result<PostgresAdmin, Exit> {
    match database {
        Database::Postgres(address) => Ok(PostgresAdmin::connect(address).await?),
        Database::Sqlite(_) => Err(Exit::Usage(
            "only PostgreSQL with Citus distributes tables: set DATABASE_URL".to_owned(),
        )),
    }
}
