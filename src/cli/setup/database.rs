//! The database that the settings name: opened for whoever looks after it, and for serving.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::exit::Exit;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Database;
use crate::store::migrate::{SchemaAdmin, migrate, position, revision_at};
use crate::store::postgres::{Address, PostgresAdmin, PostgresStore};
use crate::store::sqlite::{SqliteAdmin, SqliteStore};
use crate::store::{Result, Store, StoreError};

/// How long `--upgrade` waits for a database that is not there yet.
const PATIENCE: Duration = Duration::from_mins(1);

pub(in crate::cli) async fn open_admin(database: &Database) -> Result<Box<dyn SchemaAdmin>> {
    match database {
        Database::Sqlite(path) => Ok(Box::new(SqliteAdmin::new(path))),
        Database::Postgres(address) => Ok(Box::new(PostgresAdmin::connect(address).await?)),
    }
}

/// The store to serve from, at the newest revision.
///
/// The embedded database is always brought there. PostgreSQL is when that is asked for; else it
/// must be there. If it is out of reach it may come later: until then requests are told so.
pub(in crate::cli) async fn open_store(
    database: &Database,
    is_upgraded: bool,
) -> std::result::Result<Arc<dyn Store>, Exit> {
    match database {
        Database::Sqlite(path) => open_sqlite(path).await,
        Database::Postgres(address) => open_postgres(address, is_upgraded).await,
    }
}

/// What an operator knows it by; without credentials.
pub(in crate::cli) fn describe(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => path.display().to_string(),
        Database::Postgres(address) => address.describe(),
    }
}

async fn open_sqlite(path: &Path) -> std::result::Result<Arc<dyn Store>, Exit> {
    upgrade(&mut SqliteAdmin::new(path)).await?;
    Ok(Arc::new(SqliteStore::open(path)?))
}

async fn open_postgres(
    address: &Address,
    is_upgraded: bool,
) -> std::result::Result<Arc<dyn Store>, Exit> {
    let admin =
        if is_upgraded { Some(wait_for(address).await?) } else { look_for(address).await? };
    if let Some(mut admin) = admin {
        if is_upgraded {
            let head = admin.migrations().len();
            tell(admin.plan(head).await?);
            upgrade(&mut admin).await?;
        }
        check_revision(&mut admin).await?;
    }
    Ok(Arc::new(PostgresStore::open(address)?))
}

async fn upgrade(admin: &mut dyn SchemaAdmin) -> std::result::Result<(), Exit> {
    let head = admin.migrations().len();
    migrate(admin, head, SystemClock.now(), |step| {
        tracing::info!(revision = step.migration.revision, "migrated");
    })
    .await?;
    tell(admin.notes().await?);
    Ok(())
}

fn tell(notes: Vec<String>) {
    for remark in notes {
        tracing::info!("{remark}");
    }
}

/// The database is at the newest revision.
pub(in crate::cli) async fn check_revision(
    admin: &mut dyn SchemaAdmin,
) -> std::result::Result<(), Exit> {
    let applied = admin.applied().await?;
    let at = position(admin.migrations(), &applied)?;
    if at == admin.migrations().len() {
        return Ok(());
    }
    let at = revision_at(admin.migrations(), at);
    Err(Exit::CheckFailed(vec![format!(
        "error: the database is at {at}: run `post-api db upgrade`, or start with --upgrade"
    )]))
}

/// `None` if it is out of reach.
async fn look_for(address: &Address) -> Result<Option<PostgresAdmin>> {
    match PostgresAdmin::connect(address).await {
        Ok(admin) => Ok(Some(admin)),
        Err(StoreError::Unavailable(cause)) => {
            tracing::warn!(%cause, "the database is out of reach; it may come later");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn wait_for(address: &Address) -> Result<PostgresAdmin> {
    const PAUSE: Duration = Duration::from_millis(500);
    let end = Instant::now() + PATIENCE;
    loop {
        match PostgresAdmin::connect(address).await {
            Err(StoreError::Unavailable(cause)) if Instant::now() < end => {
                tracing::warn!(%cause, "the database is out of reach; trying again");
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
