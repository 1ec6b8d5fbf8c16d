//! What an operator does to a PostgreSQL database: migrate it, adopt one that the reference made,
//! compare its schema, recount its votes.
//!
//! All of it needs a session of its own: the lock belongs to the session, which a pooler that hands
//! out transactions does not give.

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
use self::lock::database;
use super::address::Address;
use super::connection::connect;
use crate::store::Result;
use crate::store::migrate::{
    Applied, MigrateError, MigrateResult, Migration, POSTGRES, POSTGRES_ADOPTED, SchemaAdmin,
    SignOutTarget, Step, position, steps_up,
};

pub use lock::Patience;
pub use script::statements;

pub struct PostgresAdmin {
    client: Client,
    patience: Patience,
    /// Whether the lock can be had: behind a pooler each statement may be another session's.
    has_session: bool,
    /// Which list it is shows when the database is looked at.
    migrations: &'static [Migration],
    /// What the database was before it was adopted; for [`POSTGRES_ADOPTED`] alone.
    adopted_from: Option<String>,
}

/// Where a database stands.
struct Standing {
    history: History,
    /// How many migrations it has; one that was begun and not finished is not among them.
    at: usize,
    /// What is to be adopted by the first step.
    adoptable: Option<Adoptable>,
}

impl PostgresAdmin {
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`] if the database is out of reach.
    pub async fn connect(address: &Address) -> Result<Self> {
        let client = connect(address).await?;
        // Set behind a pooler they would be set for others.
        if address.is_prepared() {
            client.batch_execute(script::PREAMBLE).await?;
        }
        Ok(Self {
            client,
            patience: Patience::default(),
            has_session: address.is_prepared(),
            migrations: POSTGRES,
            adopted_from: None,
        })
    }

    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// What the schema looks like, as [`crate::store::migrate::POSTGRES_SHAPES`] holds it.
    ///
    /// # Errors
    /// If the database cannot be asked.
    pub async fn shape(&self) -> Result<String> {
        Ok(shape::print(&shape::read(&self.client).await?))
    }

    /// Finds out where the database stands, and with it which migrations are its own.
    ///
    /// # Errors
    /// If it has tables of our names that are neither ours nor the reference's.
    async fn look(&mut self) -> MigrateResult<Standing> {
        let mut history = history::read(&self.client).await.map_err(database)?;
        let mut adoptable = None;
        if history.is_none() {
            let recognised = adopt::recognise(&self.client).await;
            // What was looked at may have been another process's first step.
            history = history::read(&self.client).await.map_err(database)?;
            if history.is_none() {
                adoptable = recognised?;
            }
        }
        let history = history.unwrap_or_default();
        let origin = adoptable.as_ref().map(|found| found.origin.clone());
        self.adopted_from = origin.or_else(|| history.adopted_from.clone());
        self.migrations = if self.adopted_from.is_some() { POSTGRES_ADOPTED } else { POSTGRES };
        let at = position(self.migrations, &history.applied)?;
        let begun: Vec<Applied> =
            history.applied.iter().chain(&history.unfinished).cloned().collect();
        position(self.migrations, &begun)?;
        Ok(Standing { history, at, adoptable })
    }

    /// The step under the lock.
    async fn step(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        let standing = self.look().await?;
        let Some(step) = standing.next(self.migrations, target) else {
            if standing.history.has(search::REVISION) {
                self.catch_up_on_search().await?;
            }
            return Ok(None);
        };
        self.run(step, now).await?;
        Ok(Some(step))
    }

    async fn catch_up_on_search(&self) -> MigrateResult<()> {
        let step = POSTGRES.iter().find(|known| known.revision == search::REVISION);
        if search::has_index(&self.client).await.map_err(database)? {
            return Ok(());
        }
        self.run_alone(step.map_or("", |step| step.up)).await
    }
}

impl Standing {
    /// The next step on the way. What was begun is brought to its end or taken back first.
    fn next(&self, migrations: &'static [Migration], target: usize) -> Option<Step> {
        if self.history.unfinished.is_some() && target <= self.at {
            return Step::next(migrations, self.at + 1, self.at);
        }
        Step::next(migrations, self.at, target)
    }
}

#[async_trait]
impl SchemaAdmin for PostgresAdmin {
    fn migrations(&self) -> &'static [Migration] {
        self.migrations
    }

    async fn applied(&mut self) -> Result<Vec<Applied>> {
        match self.look().await {
            Ok(standing) => Ok(standing.history.applied),
            Err(MigrateError::Store(error)) => Err(error),
            // Whoever goes on from here is told.
            Err(_) => {
                let history = history::read(&self.client).await?;
                Ok(history.map_or_else(Vec::new, |history| history.applied))
            }
        }
    }

    async fn plan(&mut self, target: usize) -> MigrateResult<Vec<String>> {
        let standing = self.look().await?;
        let mut lines = Vec::new();
        if let Some(adoptable) = standing.adoptable {
            lines.extend(adoptable.plan(&self.client).await?);
        }
        if let Some(begun) = standing.history.unfinished {
            lines.push(format!("{} was begun and not finished: it is begun again", begun.revision));
        }
        let steps = steps_up(self.migrations, standing.at, target);
        for (number, step) in steps.iter().enumerate() {
            let made = self.describe(standing.at + number + 1);
            lines.push(format!("up   {}: adds {made}", step.migration.revision));
        }
        Ok(lines)
    }

    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        if !self.has_session {
            let standing = self.look().await?;
            return match standing.next(self.migrations, target) {
                None => Ok(None),
                Some(_) => Err(MigrateError::NoSession),
            };
        }
        lock::take(&self.client, self.patience.others).await?;
        let outcome = self.step(target, now).await;
        // A session that is broken has lost the lock with it; what broke it is in the outcome.
        let released = lock::release(&self.client).await;
        let step = outcome?;
        released.map(|()| step)
    }

    async fn stamp(&mut self, target: usize, now: Timestamp) -> MigrateResult<()> {
        if !self.has_session {
            return Err(MigrateError::NoSession);
        }
        lock::take(&self.client, self.patience.others).await?;
        let outcome = self.rewrite_history(target, now).await;
        let released = lock::release(&self.client).await;
        outcome.and(released)
    }

    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>> {
        let standing = match self.look().await {
            Err(MigrateError::NotAdoptable(differences)) => return Ok(differences),
            other => other?,
        };
        if standing.history.is_empty() {
            return Ok(Vec::new());
        }
        let mut differences = self.compare(standing.at).await?;
        if let Some(begun) = standing.history.unfinished {
            differences.push(format!("{} was begun and not finished", begun.revision));
        }
        Ok(differences)
    }

    async fn wrong_counts(&mut self) -> Result<Vec<String>> {
        Ok(counts::find_wrong(&self.client).await?)
    }

    async fn sign_out(&mut self, whose: SignOutTarget<'_>, now: Timestamp) -> Result<u64> {
        const EVERYBODY: &str = "UPDATE users SET tokens_valid_from =
            greatest($1, tokens_valid_from + interval '1 microsecond')";
        const ONE: &str = "UPDATE users SET tokens_valid_from =
            greatest($1, tokens_valid_from + interval '1 microsecond') WHERE email = $2";
        let signed_out = match whose {
            SignOutTarget::AllUsers => self.client.execute(EVERYBODY, &[&now]).await?,
            SignOutTarget::Of(email) => self.client.execute(ONE, &[&now, &email.as_str()]).await?,
        };
        Ok(signed_out)
    }

    async fn notes(&mut self) -> Result<Vec<String>> {
        let history = history::read(&self.client).await?.unwrap_or_default();
        if !history.has(search::REVISION) {
            return Ok(Vec::new());
        }
        Ok(search::remark(&self.client).await?)
    }

    fn script(&self, step: Step, now: Timestamp) -> String {
        steps::print(step, self.is_first(step), self.adopted_from.as_deref(), now)
    }
}
