//! The operator's view of a PostgreSQL database: migrate it, adopt one that the reference service
//! created, compare its schema, recount its votes.
//!
//! A migration needs one database session: the advisory lock belongs to the session, and a pooler
//! in transaction mode may run each transaction in another session.

mod adopt;
mod counts;
mod history;
mod lock;
mod script;
mod search;
mod shape;
mod steps;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Client;

use self::adopt::Adoptable;
use self::history::History;
use super::address::Address;
use super::connection::connect;
use super::error::is_unrepresentable;
use crate::domain::user::TokensValidFrom;
use crate::store::Result;
use crate::store::migrate::{
    Applied, MigrateError, MigrateResult, Migration, POSTGRES, POSTGRES_ADOPTED, SchemaAdmin,
    SignOutTarget, Step, count_applied, steps_up,
};

pub use lock::LockTimeouts;
pub use script::statements;

pub struct PostgresAdmin {
    client: Client,
    lock_timeouts: LockTimeouts,
    /// Whether all statements run in one database session. Behind a pooler they do not.
    has_session: bool,
    /// The migrations for this database, which [`PostgresAdmin::inspect`] determines.
    migrations: &'static [Migration],
    /// The origin of an adopted database; `None` for [`POSTGRES`].
    adopted_from: Option<String>,
}

/// The migrations that a database has.
struct MigrationStatus {
    history: History,
    /// Number of applied migrations. An unfinished one does not count.
    applied: usize,
    /// The tables that the first migration is to adopt.
    adoptable: Option<Adoptable>,
}

impl PostgresAdmin {
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`] if the database is unreachable.
    pub async fn connect(address: &Address) -> Result<Self> {
        let client = connect(address).await?;
        // Behind a pooler, other clients would get these settings too.
        if address.is_prepared() {
            client.batch_execute(script::PREAMBLE).await?;
        }
        Ok(Self {
            client,
            lock_timeouts: LockTimeouts::default(),
            has_session: address.is_prepared(),
            migrations: POSTGRES,
            adopted_from: None,
        })
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
        let history = history.unwrap_or_default();
        let origin = adoptable.as_ref().map(|found| found.origin.clone());
        self.adopted_from = origin.or_else(|| history.adopted_from.clone());
        self.migrations = if self.adopted_from.is_some() { POSTGRES_ADOPTED } else { POSTGRES };
        let applied = count_applied(self.migrations, &history.applied)?;
        let with_unfinished: Vec<Applied> =
            history.applied.iter().chain(&history.unfinished).cloned().collect();
        count_applied(self.migrations, &with_unfinished)?;
        Ok(MigrationStatus { history, applied, adoptable })
    }

    /// Runs the next step. The caller must hold the advisory lock.
    async fn step(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        let status = self.inspect().await?;
        let Some(step) = status.next(self.migrations, target) else {
            if status.history.has(search::REVISION) {
                self.build_missing_search_index().await?;
            }
            return Ok(None);
        };
        self.run(step, now).await?;
        Ok(Some(step))
    }

    async fn build_missing_search_index(&self) -> MigrateResult<()> {
        let migration = POSTGRES.iter().find(|known| known.revision == search::REVISION);
        if search::has_index(&self.client).await? {
            return Ok(());
        }
        self.run_statements(migration.map_or("", |migration| migration.up)).await
    }
}

impl MigrationStatus {
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

    async fn applied(&mut self) -> Result<Vec<Applied>> {
        match self.inspect().await {
            Ok(status) => Ok(status.history.applied),
            Err(MigrateError::Store(error)) => Err(error),
            // The caller's next step reports the error.
            Err(_) => {
                let history = history::read(&self.client).await?;
                Ok(history.map_or_else(Vec::new, |history| history.applied))
            }
        }
    }

    async fn plan(&mut self, target: usize) -> MigrateResult<Vec<String>> {
        let status = self.inspect().await?;
        let mut lines = Vec::new();
        if let Some(adoptable) = status.adoptable {
            lines.extend(adoptable.plan(&self.client).await?);
        }
        if let Some(unfinished) = status.history.unfinished {
            lines.push(format!("{} is unfinished: it is run again", unfinished.revision));
        }
        let steps = steps_up(self.migrations, status.applied, target);
        for (number, step) in steps.iter().enumerate() {
            let added = self.describe(status.applied + number + 1);
            lines.push(format!("up   {}: adds {added}", step.migration.revision));
        }
        Ok(lines)
    }

    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        if !self.has_session {
            let status = self.inspect().await?;
            return match status.next(self.migrations, target) {
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
        let status = match self.inspect().await {
            Err(MigrateError::NotAdoptable(differences)) => return Ok(differences),
            other => other?,
        };
        if status.history.is_empty() {
            return Ok(Vec::new());
        }
        let mut differences = self.compare(status.applied).await?;
        if let Some(unfinished) = status.history.unfinished {
            differences.push(format!("{} is unfinished", unfinished.revision));
        }
        Ok(differences)
    }

    async fn wrong_counts(&mut self) -> Result<Vec<String>> {
        Ok(counts::find_wrong(&self.client).await?)
    }

    async fn sign_out(&mut self, accounts: SignOutTarget<'_>, now: Timestamp) -> Result<u64> {
        // Later accounts start after the value of the installation.
        const ALL_USERS: &str = "WITH new_users AS (
                UPDATE installation SET tokens_valid_from =
                    greatest($1, tokens_valid_from + interval '1 microsecond')
            )
            UPDATE users SET tokens_valid_from =
                greatest($1, tokens_valid_from + interval '1 microsecond')";
        const ONE_USER: &str = "UPDATE users SET tokens_valid_from =
            greatest($1, tokens_valid_from + interval '1 microsecond')
            WHERE id = (SELECT id FROM users WHERE email = ANY (ARRAY[$2, $3])
                         ORDER BY email = $2 DESC LIMIT 1)";
        let now = TokensValidFrom::revoked_at(now).0;
        let signed_out = match accounts {
            SignOutTarget::AllUsers => self.client.execute(ALL_USERS, &[&now]).await?,
            SignOutTarget::User(email) => {
                let [typed, normal] = email.forms();
                match self.client.execute(ONE_USER, &[&now, &typed, &normal]).await {
                    // The encoding of the database lacks a character, so no account has the e-mail.
                    Err(error) if is_unrepresentable(error.code()) => 0,
                    signed_out => signed_out?,
                }
            }
        };
        Ok(signed_out)
    }

    async fn notes(&mut self) -> Result<Vec<String>> {
        let history = history::read(&self.client).await?.unwrap_or_default();
        if !history.has(search::REVISION) {
            return Ok(Vec::new());
        }
        Ok(search::notes(&self.client).await?)
    }

    fn script(&self, step: Step, now: Timestamp) -> String {
        steps::to_script(step, self.is_first(step), self.adopted_from.as_deref(), now)
    }
}
