//! What an operator does to a PostgreSQL database: migrate it, adopt the reference's, compare its
//! schema, recount its votes.
//!
//! Migrations need a session of their own, which a pooler in transaction mode does not give.

mod adopt;
mod history;
mod lock;
mod script;
mod shape;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use self::adopt::{Origin, recognise};
use self::script::{Paragraph, paragraphs};
use super::address::Address;
use super::connect::connect;
use crate::store::migrate::{
    ADOPTED, Admin, Applied, Direction, MigrateError, MigrateResult, Migration, POSTGRES, Step,
    position,
};
use crate::store::{Result, StoreError};

/// How long another process's migration is waited for, and a lock that somebody keeps.
const PATIENCE: Duration = Duration::from_mins(1);

/// A statement of a migration that waits for a lock holds up all that come after it: it gives up
/// soon, and tries again.
const SESSION: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET client_min_messages = error; SET lock_timeout = '500ms'";

pub struct PostgresAdmin {
    client: Client,
    patience: Duration,
    /// Those of the database, as it was when it was last looked at.
    migrations: &'static [Migration],
}

impl PostgresAdmin {
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is out of reach.
    pub async fn connect(address: &Address) -> Result<Self> {
        let client = connect(address).await?;
        let mut admin = Self { client, patience: PATIENCE, migrations: POSTGRES };
        admin.look().await?;
        Ok(admin)
    }

    /// How long another process's migration is waited for; a minute if nothing is said.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// What was applied; and which migrations are the database's.
    async fn look(&mut self) -> Result<Vec<Applied>> {
        let applied = history::read(&self.client).await?;
        let is_adopted = match applied.first() {
            Some(first) => ADOPTED.first().is_some_and(|known| known.checksum() == first.checksum),
            None => matches!(recognise(&self.client).await?, Origin::Reference(_)),
        };
        self.migrations = if is_adopted { ADOPTED } else { POSTGRES };
        Ok(applied)
    }

    async fn step(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        let found = self.look().await?;
        let applied = position(self.migrations, &found)?;
        let Some(step) = Step::next(self.migrations, applied, target) else {
            return Ok(None);
        };
        if found.is_empty()
            && let Origin::Unknown(differences) = recognise(&self.client).await?
        {
            return Err(MigrateError::UnknownShape(differences));
        }
        self.run(step, applied, now).await?;
        Ok(Some(step))
    }

    async fn run(&self, step: Step, applied: usize, now: Timestamp) -> MigrateResult<()> {
        let remember = history::remember(step, applied == 1, now);
        let Some(paragraphs) = paragraphs(step.sql()) else {
            return self.execute(&format!("BEGIN; {}; {remember}; COMMIT", step.sql())).await;
        };
        for Paragraph { sql, needs_trigrams, .. } in paragraphs {
            if !needs_trigrams || self.has_trigrams().await? {
                self.execute(sql).await?;
            }
        }
        self.execute(&format!("BEGIN; {remember}; COMMIT")).await
    }

    /// Tries again while somebody keeps a lock that is needed, as long as the patience lasts.
    async fn execute(&self, sql: &str) -> MigrateResult<()> {
        const PAUSE: Duration = Duration::from_millis(200);
        let end = Instant::now() + self.patience;
        loop {
            let Err(error) = self.client.batch_execute(sql).await else { return Ok(()) };
            // Without effect where no transaction was begun.
            self.client.batch_execute("ROLLBACK").await.map_err(StoreError::from)?;
            let is_locked =
                [Some(&SqlState::LOCK_NOT_AVAILABLE), Some(&SqlState::T_R_DEADLOCK_DETECTED)]
                    .contains(&error.code());
            if !is_locked || Instant::now() >= end {
                return Err(StoreError::from(error).into());
            }
            sleep(PAUSE).await;
        }
    }

    async fn has_trigrams(&self) -> Result<bool> {
        const FIND: &str = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')";
        self.client.query_one(FIND, &[]).await?.try_get(0).map_err(StoreError::internal)
    }

    /// Under the lock; the session's settings are those of a migration whatever came before.
    async fn begin(&self) -> MigrateResult<()> {
        self.client.batch_execute(SESSION).await.map_err(StoreError::from)?;
        lock::take(&self.client, self.patience).await
    }

    /// The lines of the schema as these migrations make it, in a schema that is thrown away.
    async fn expected(&self, migrations: &[Migration]) -> Result<Vec<String>> {
        let mut sql =
            "BEGIN; CREATE SCHEMA pristine; SET LOCAL search_path = pristine, public;".to_owned();
        if self.migrations == ADOPTED
            && let Some(first) = POSTGRES.first()
        {
            sql.push_str(first.up);
        }
        for migration in migrations {
            let Some(paragraphs) = paragraphs(migration.up) else {
                sql.push_str(migration.up);
                continue;
            };
            for paragraph in paragraphs {
                let is_made = !paragraph.needs_trigrams || self.has_trigrams().await?;
                if is_made && !paragraph.is_outside {
                    sql.push_str(&paragraph.sql.replace(" CONCURRENTLY", ""));
                    sql.push('\n');
                }
            }
        }
        self.client.batch_execute(&sql).await?;
        let lines = shape::read_all(&self.client).await;
        self.client.batch_execute("ROLLBACK").await?;
        lines
    }
}

#[async_trait]
impl Admin for PostgresAdmin {
    fn migrations(&self) -> &'static [Migration] {
        self.migrations
    }

    async fn remarks(&mut self) -> MigrateResult<Vec<String>> {
        let applied = self.look().await?;
        if applied.is_empty() {
            return match recognise(&self.client).await? {
                Origin::Empty => Ok(Vec::new()),
                Origin::Reference(revision) => Ok(adopt::describe(&self.client, &revision).await?),
                Origin::Unknown(differences) => Err(MigrateError::UnknownShape(differences)),
            };
        }
        let mut remarks = Vec::new();
        if applied.len() == POSTGRES.len() && !history::has_search_index(&self.client).await? {
            remarks.push(NO_SEARCH_INDEX.to_owned());
        }
        Ok(remarks)
    }

    async fn applied(&mut self) -> Result<Vec<Applied>> {
        self.look().await
    }

    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>> {
        self.begin().await?;
        let outcome = self.step(target, now).await;
        lock::give_back(&self.client).await?;
        outcome
    }

    async fn stamp(&mut self, target: usize, now: Timestamp) -> MigrateResult<()> {
        self.begin().await?;
        self.look().await?;
        let known = self.migrations.iter().take(target);
        let outcome = self.execute(&history::rewrite(known, now)).await;
        lock::give_back(&self.client).await?;
        outcome
    }

    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>> {
        let applied = self.look().await?;
        let applied = position(self.migrations, &applied)?;
        if applied == 0 {
            return Ok(Vec::new());
        }
        let mut found = shape::read_all(&self.client).await?;
        let migrations = self.migrations.get(..applied).unwrap_or_default();
        if self.migrations == ADOPTED {
            found.retain(|line| line != adopt::COURSE);
        }
        let expected = self.expected(migrations).await?;
        Ok(shape::differences(&expected, &found))
    }

    async fn wrong_counts(&mut self) -> Result<Vec<String>> {
        history::wrong_counts(&self.client).await
    }

    fn script(&self, step: Step, now: Timestamp) -> String {
        let is_last = step.direction == Direction::Down
            && self
                .migrations
                .first()
                .is_some_and(|first| first.revision == step.migration.revision);
        let remember = history::remember(step, is_last, now);
        let way = if step.direction == Direction::Up { "up" } else { "down" };
        let head = format!("-- {}, {way}", step.migration.revision);
        match paragraphs(step.sql()) {
            None => format!("{head}\nBEGIN;\n{}{remember};\nCOMMIT;\n", step.sql()),
            Some(_) => format!("{head}\n{}\n{remember};\n", step.sql()),
        }
    }
}

const NO_SEARCH_INDEX: &str = "searches look through the newest posts alone: there is no index of \
    trigrams, as this role may not create the extension pg_trgm; have a superuser run \
    `CREATE EXTENSION pg_trgm`, then run `post-api db downgrade -1` and `post-api db upgrade`";
