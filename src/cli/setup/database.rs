//! Opens the database that the settings name, for commands and for serving.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::exit::Exit;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Database;
use crate::store::migrate::{
    MigrateError, MigrateResult, SchemaAdmin, count_applied, migrate, revision_at,
};
use crate::store::postgres::{Address, PostgresAdmin, PostgresOperator, PostgresStore, is_refused};
use crate::store::sqlite::{SqliteAdmin, SqliteOperator, SqliteStore, check_source};
use crate::store::transfer::TransferAdmin;
use crate::store::{OperatorStore, Store, StoreError};

/// How long `--upgrade` retries if the server is unreachable.
const UPGRADE_WAIT: Duration = Duration::from_mins(1);

/// Pause between two attempts to connect.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

pub(in crate::cli) async fn open_admin(database: &Database) -> MigrateResult<Box<dyn SchemaAdmin>> {
    match database {
        Database::Sqlite(path) => Ok(Box::new(SqliteAdmin::new(path))),
        Database::Postgres(address) => Ok(Box::new(PostgresAdmin::connect(address).await?)),
    }
}

/// Opens the database for commands on accounts and posts. It must be at the newest revision.
pub(in crate::cli) async fn open_operator(
    database: &Database,
) -> Result<Box<dyn OperatorStore>, Exit> {
    check_exists(database)?;
    check_revision(open_admin(database).await?.as_mut()).await?;
    Ok(match database {
        Database::Sqlite(path) => Box::new(SqliteOperator::new(path)),
        Database::Postgres(address) => Box::new(PostgresOperator::open(address)?),
    })
}

pub(in crate::cli) async fn open_transfer(
    database: &Database,
) -> MigrateResult<Box<dyn TransferAdmin>> {
    match database {
        Database::Sqlite(path) => Ok(Box::new(SqliteAdmin::new(path))),
        Database::Postgres(address) => Ok(Box::new(PostgresAdmin::connect(address).await?)),
    }
}

/// Opens the store for serving. The embedded database is always migrated to the newest revision.
/// PostgreSQL is migrated only if `can_upgrade`; otherwise it must already be at the newest revision.
///
/// Without `can_upgrade` the service also starts if PostgreSQL is unreachable: requests get 503
/// until it is reachable. A server that refuses the role, the database or the use of TLS ends the
/// start: this does not pass by itself.
///
/// # Errors
/// [`Exit`] if the schema is out of date, or the database cannot be opened or migrated. With
/// `can_upgrade` also if PostgreSQL stays unreachable for one minute.
pub(in crate::cli) async fn open_store(
    database: &Database,
    can_upgrade: bool,
) -> Result<Arc<dyn Store>, Exit> {
    match database {
        Database::Sqlite(path) => open_sqlite(path).await,
        Database::Postgres(address) => open_postgres(address, can_upgrade).await,
    }
}

/// Returns the location of the database without credentials.
pub(in crate::cli) fn describe(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => path.display().to_string(),
        Database::Postgres(address) => address.describe(),
    }
}

async fn open_sqlite(path: &Path) -> Result<Arc<dyn Store>, Exit> {
    upgrade(&mut SqliteAdmin::new(path)).await?;
    Ok(Arc::new(SqliteStore::open(path)?))
}

async fn open_postgres(address: &Address, can_upgrade: bool) -> Result<Arc<dyn Store>, Exit> {
    let admin = if can_upgrade {
        Some(connect_with_retry(address).await?)
    } else {
        connect_if_reachable(address).await?
    };
    if let Some(mut admin) = admin {
        if can_upgrade {
            let head = admin.migrations().len();
            for line in admin.plan(head).await? {
                tracing::info!("{line}");
            }
            upgrade(&mut admin).await?;
        }
        check_revision(&mut admin).await?;
        if !can_upgrade {
            log_notes(admin.notes().await?);
        }
    }
    Ok(Arc::new(PostgresStore::open(address)?))
}

async fn upgrade(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    let head = admin.migrations().len();
    migrate(admin, head, SystemClock.now(), |step| {
        tracing::info!(revision = step.migration.revision, "migrated");
    })
    .await?;
    log_notes(admin.notes().await?);
    Ok(())
}

fn log_notes(notes: Vec<String>) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

/// Checks that an embedded database exists. A command on its rows must not create one in a folder
/// that was named by mistake.
pub(in crate::cli) fn check_exists(database: &Database) -> Result<(), Exit> {
    match database {
        Database::Sqlite(path) => Ok(check_source(path)?),
        Database::Postgres(_) => Ok(()),
    }
}

/// Checks that the database has every migration that this binary knows.
pub(in crate::cli) async fn check_revision(admin: &mut dyn SchemaAdmin) -> Result<(), Exit> {
    let applied = admin.applied().await?;
    let at = count_applied(admin.migrations(), &applied)?;
    if at == admin.migrations().len() {
        return Ok(());
    }
    let at = revision_at(admin.migrations(), at);
    Err(Exit::CheckFailed(vec![format!(
        "error: the database is at {at}: run `post-api db upgrade`, or start with --upgrade"
    )]))
}

/// Returns `None` if the server is unreachable.
async fn connect_if_reachable(address: &Address) -> MigrateResult<Option<PostgresAdmin>> {
    match PostgresAdmin::connect(address).await {
        Ok(admin) => Ok(Some(admin)),
        Err(error) => {
            let cause = cause_that_may_pass(error)?;
            tracing::warn!(cause, "database unreachable; requests get 503 until it is reachable");
            Ok(None)
        }
    }
}

/// Returns the causes of an error that may pass by itself.
///
/// # Errors
/// The error, if it does not pass.
fn cause_that_may_pass(error: MigrateError) -> MigrateResult<String> {
    match error {
        MigrateError::Store(error @ StoreError::Unavailable(_)) if !is_refused(&error) => {
            Ok(format!("{:#}", anyhow::Error::from(error)))
        }
        error => Err(error),
    }
}

async fn connect_with_retry(address: &Address) -> MigrateResult<PostgresAdmin> {
    let end = Instant::now() + UPGRADE_WAIT;
    let mut logged = String::new();
    loop {
        match PostgresAdmin::connect(address).await {
            Err(error) if Instant::now() < end => {
                let cause = cause_that_may_pass(error)?;
                if cause != logged {
                    tracing::warn!(cause, "database unreachable; retrying");
                    logged = cause;
                }
                sleep(RETRY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
