//! The operator's view of a PostgreSQL database: migrate it, adopt one that the reference service
//! created, compare its schema, recount its votes.
//!
//! A migration needs one database session: the advisory lock belongs to the session, and a pooler
//! in transaction mode may run each transaction in another session.

mod adopt;
mod confirmation;
mod counts;
mod distribution;
mod history;
mod inspection;
mod lock;
mod ownership;
mod reports;
mod script;
mod search;
mod sequences;
mod shape;
mod steps;
mod transfer;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Client;

use self::adopt::Adoptable;
use self::history::History;
use self::lock::Retry;
use self::ownership::Path;
use super::address::Address;
use super::connect::connect;
use super::search_path::FIND_SCHEMAS;
use crate::domain::user::TokensValidFrom;
use crate::store::Result;
use crate::store::migrate::{
    Applied, MigrateError, MigrateResult, Migration, POSTGRES, POSTGRES_ADOPTED, SchemaAdmin, Step,
    count_applied, newer_revisions,
};

pub use inspection::PostgresInspector;
pub use lock::LockTimeouts;
pub use script::statements;

/// Later accounts start after the value of the installation.
const SIGN_OUT_ALL: &str = "WITH new_users AS (
        UPDATE installation SET tokens_valid_from =
            greatest($1, (tokens_valid_from AT TIME ZONE 'UTC'
                          + interval '1 microsecond') AT TIME ZONE 'UTC')
    )
    UPDATE users SET tokens_valid_from =
        greatest($1, (tokens_valid_from AT TIME ZONE 'UTC'
                      + interval '1 microsecond') AT TIME ZONE 'UTC')";

/// Tells the readers of the log that changes are missing from it.
const NEW_EPOCH: &str =
    "UPDATE change_log SET epoch = hashtextextended(gen_random_uuid()::text, 0)";

pub struct PostgresAdmin {
    client: Client,
    lock_timeouts: LockTimeouts,
    /// Whether all statements run in one database session. Behind a pooler they do not.
    has_session: bool,
    confirms_reads: bool,
    /// The schema of the tables, as SQL writes its name.
    quoted_schema: String,
    /// The migrations for this database, which [`PostgresAdmin::inspect`] determines.
    migrations: &'static [Migration],
    /// The origin of an adopted database; `None` for [`POSTGRES`].
    adopted_from: Option<String>,
}

/// Returns the quoted name of the schema to work in.
async fn find_schema(client: &Client) -> MigrateResult<String> {
    let mut schemas = Vec::new();
    for row in client.query(FIND_SCHEMAS, &[]).await? {
        let (name, has_history, has_tables): (String, bool, bool) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        schemas.push((name, has_history || has_tables));
    }
    let mut with_tables = schemas.iter().filter(|(_, has_tables)| *has_tables);
    let (name, _) = match (with_tables.next(), with_tables.next()) {
        (Some(schema), None) => schema,
        (None, _) => schemas.first().ok_or(MigrateError::NoSchema)?,
        (Some(_), Some(_)) => {
            let several = schemas.iter().filter(|(_, has_tables)| *has_tables);
            return Err(MigrateError::SeveralSchemas(
                several.map(|(name, _)| name.clone()).collect(),
            ));
        }
    };
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// The migrations that a database has.
struct MigrationStatus {
    history: History,
    /// Number of applied migrations. An unfinished one does not count.
    applied: usize,
    /// Migrations of a newer release that this binary can work with.
    newer: Vec<String>,
    /// The tables that the first migration is to adopt.
    adoptable: Option<Adoptable>,
}

impl PostgresAdmin {
    /// Connects, and finds the schema to work in: the one schema of the search path that has the
    /// service's tables, else the first.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`] if the database is unreachable,
    /// [`MigrateError::SeveralSchemas`] if more than one schema has the tables, and
    /// [`MigrateError::NoSchema`] if the path has no schema.
    pub async fn connect(address: &Address) -> MigrateResult<Self> {
        let client = connect(address).await?;
        let has_session = address.is_prepared();
        if has_session {
            client.batch_execute(&script::preamble(None)).await?;
        }
        let quoted_schema = find_schema(&client).await?;
        if has_session {
            client.batch_execute(&script::preamble(Some(&quoted_schema))).await?;
        }
        Ok(Self {
            client,
            lock_timeouts: LockTimeouts::default(),
            has_session,
            confirms_reads: address.confirms_reads(),
            quoted_schema,
            migrations: POSTGRES,
            adopted_from: None,
        })
    }

    /// Begins a transaction that only reads, if the connection has no session of its own. Behind a
    /// pooler, other clients would get the settings of a session too.
    async fn begin_reading(&self) -> MigrateResult<()> {
        if !self.has_session {
            let begin = script::begin_reading(Some(&self.quoted_schema));
            self.client.batch_execute(&begin).await?;
        }
        Ok(())
    }

    async fn end_reading(&self) -> MigrateResult<()> {
        if !self.has_session {
            self.client.batch_execute("ROLLBACK").await?;
        }
        Ok(())
    }

    #[must_use]
    pub fn with_lock_timeouts(mut self, timeouts: LockTimeouts) -> Self {
        self.lock_timeouts = timeouts;
        self
    }

    /// Returns the shape of the schema in the format of [`crate::store::migrate::POSTGRES_SHAPES`].
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn shape(&self) -> Result<String> {
        Ok(shape::to_text(&shape::read(&self.client).await?))
    }

    /// Returns which migrations the database has, and sets the list that they are from.
    ///
    /// # Errors
    /// [`MigrateError::NotAdoptable`] if tables with the service's names have another shape than
    /// those of the reference service, and the errors of [`count_applied`].
    async fn inspect(&mut self) -> MigrateResult<MigrationStatus> {
        let mut history = history::read(&self.client).await?;
        let mut adoptable = None;
        if history.is_none() {
            let found = adopt::find_adoptable(&self.client).await;
            // Another process may have applied its first migration while we were reading.
            history = history::read(&self.client).await?;
            if history.is_none() {
                adoptable = found?;
            }
        }
        let mut history = history.unwrap_or_default();
        let origin = adoptable.as_ref().map(|found| found.origin.clone());
        self.adopted_from = origin.or_else(|| history.adopted_from.clone());
        self.migrations = if self.adopted_from.is_some() { POSTGRES_ADOPTED } else { POSTGRES };
        let applied = count_applied(self.migrations, &history.applied)?;
        let mut with_unfinished: Vec<Applied> =
            history.applied.iter().chain(&history.unfinished).cloned().collect();
        with_unfinished.sort_by(|one, other| one.revision.cmp(&other.revision));
        count_applied(self.migrations, &with_unfinished)?;
        let newer = newer_revisions(self.migrations, &with_unfinished);
        let newer: Vec<String> = newer.into_iter().map(str::to_owned).collect();
        let is_newer = |unfinished: &Applied| newer.contains(&unfinished.revision);
        // A newer release finishes its own migration.
        history.unfinished = history.unfinished.take_if(|found| !is_newer(found));
        Ok(MigrationStatus { history, applied, newer, adoptable })
    }

    /// Runs the next step. The caller must hold the advisory lock.
    async fn step(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        let status = self.inspect().await?;
        self.refuse_obstacles(&status, target).await?;
        let Some(step) = status.next(self.migrations, target) else {
            if status.history.has(search::REVISION) && status.newer.is_empty() {
                self.build_missing_search_index(&status).await?;
            }
            return Ok(None);
        };
        self.run(step, now).await?;
        Ok(Some(step))
    }

    /// # Errors
    /// [`MigrateError::Obstructed`] if a migration on the way to the target would meet objects of
    /// others.
    async fn refuse_obstacles(&self, status: &MigrationStatus, target: usize) -> MigrateResult<()> {
        if let Some(newer) = status.newer.first().filter(|_| target < self.migrations.len()) {
            return Err(MigrateError::Newer(newer.clone()));
        }
        if target < status.applied && distribution::is_distributed(&self.client).await? {
            return Err(MigrateError::Distributed);
        }
        self.refuse_obstacles_of(&status.path(target, self.adopted_from.is_some())).await
    }

    async fn refuse_obstacles_of(&self, path: &Path) -> MigrateResult<()> {
        if path.numbers.is_empty() {
            return Ok(());
        }
        let obstacles = ownership::find_obstacles(&self.client, path).await?;
        if obstacles.is_empty() { Ok(()) } else { Err(MigrateError::Obstructed(obstacles)) }
    }

    /// The caller must hold the advisory lock.
    async fn repair_all(&mut self) -> MigrateResult<Vec<String>> {
        let retry = Retry::within(self.lock_timeouts);
        let mut done = counts::repair(&mut self.client, &retry).await?;
        let has_log = "SELECT to_regclass('change_log') IS NOT NULL";
        if !done.is_empty() && self.client.query_one(has_log, &[]).await?.try_get(0)? {
            self.client.execute(NEW_EPOCH, &[]).await?;
        }
        done.extend(sequences::repair(&mut self.client, &retry).await?);
        Ok(done)
    }

    /// Builds the search index, if the extension came after its migration.
    async fn build_missing_search_index(&self, status: &MigrationStatus) -> MigrateResult<()> {
        let Some(at) = POSTGRES.iter().position(|known| known.revision == search::REVISION) else {
            return Ok(());
        };
        if search::has_index(&self.client).await? {
            return Ok(());
        }
        let path =
            Path { numbers: vec![at + 1], unfinished: Some(at + 1), ..status.path(0, false) };
        self.refuse_obstacles_of(&Path { is_up: true, ..path }).await?;
        self.run_statements(POSTGRES.get(at).map_or("", |migration| migration.up)).await
    }
}

impl MigrationStatus {
    /// Returns the migrations between the database and the target, an unfinished one included.
    fn path(&self, target: usize, is_adopted: bool) -> Path {
        let unfinished = self.history.unfinished.as_ref().map(|_| self.applied + 1);
        let is_up = target > self.applied;
        let numbers = if is_up {
            (self.applied + 1..=target).collect()
        } else {
            (target + 1..=unfinished.unwrap_or(self.applied)).collect()
        };
        Path { numbers, is_up, applied: self.applied, unfinished, is_adopted }
    }

    /// Returns the next step towards the target. An unfinished migration is finished or reverted
    /// first.
    fn next(&self, migrations: &'static [Migration], target: usize) -> Option<Step> {
        if self.history.unfinished.is_some() && target <= self.applied {
            return Step::next(migrations, self.applied + 1, self.applied);
        }
        Step::next(migrations, self.applied, target)
    }
}

#[async_trait]
impl SchemaAdmin for PostgresAdmin {
    fn migrations(&self) -> &'static [Migration] {
        self.migrations
    }

    async fn applied(&mut self) -> MigrateResult<Vec<Applied>> {
        self.begin_reading().await?;
        let outcome = self.read_applied().await;
        self.end_reading().await?;
        outcome
    }

    async fn plan(&mut self, target: usize) -> MigrateResult<Vec<String>> {
        self.begin_reading().await?;
        let outcome = self.describe_path(target).await;
        self.end_reading().await?;
        outcome
    }

    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        if !self.has_session {
            self.begin_reading().await?;
            let status = self.inspect().await;
            self.end_reading().await?;
            return match status?.next(self.migrations, target) {
                None => Ok(None),
                Some(_) => Err(MigrateError::NoSession),
            };
        }
        lock::take(&self.client, self.lock_timeouts.advisory).await?;
        let outcome = self.step(target, now).await;
        // A broken session has lost the lock too. Its error is in `outcome`, which comes first.
        let released = lock::release(&self.client).await;
        let step = outcome?;
        released.map(|()| step)
    }

    async fn stamp(&mut self, target: usize, now: Timestamp) -> MigrateResult<()> {
        if !self.has_session {
            return Err(MigrateError::NoSession);
        }
        lock::take(&self.client, self.lock_timeouts.advisory).await?;
        let outcome = self.rewrite_history(target, now).await;
        let released = lock::release(&self.client).await;
        outcome.and(released)
    }

    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>> {
        self.begin_reading().await?;
        let outcome = self.find_differences().await;
        self.end_reading().await?;
        outcome
    }

    async fn wrong_counts(&mut self) -> MigrateResult<Vec<String>> {
        self.begin_reading().await?;
        let outcome = counts::find_wrong(&self.client).await;
        self.end_reading().await?;
        Ok(outcome?)
    }

    async fn repair(&mut self) -> MigrateResult<Vec<String>> {
        if !self.has_session {
            return Err(MigrateError::NoSession);
        }
        lock::take(&self.client, self.lock_timeouts.advisory).await?;
        let outcome = self.repair_all().await;
        let released = lock::release(&self.client).await;
        let done = outcome?;
        released.map(|()| done)
    }

    async fn sign_out_all(&mut self, now: Timestamp) -> MigrateResult<u64> {
        let now = TokensValidFrom::revoked_at(now).0;
        Ok(self.client.execute(SIGN_OUT_ALL, &[&now]).await?)
    }

    async fn notes(&mut self) -> MigrateResult<Vec<String>> {
        self.begin_reading().await?;
        let outcome = self.find_notes().await;
        self.end_reading().await?;
        outcome
    }

    fn script(&self, step: Step, now: Timestamp) -> String {
        let origin = self.adopted_from.as_deref();
        steps::to_script(step, self.is_first(step), origin, &self.quoted_schema, now)
    }
}
