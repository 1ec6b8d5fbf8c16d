//! How a step is run, printed and described.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use super::lock::{Attempts, database};
use super::shape::{self, Line};
use super::{PostgresAdmin, adopt, history, script, search};
use crate::store::migrate::{
    Direction, MigrateResult, Migration, POSTGRES, POSTGRES_ADOPTED, Step,
};

impl PostgresAdmin {
    /// Whether the step is the one between nothing and the first revision.
    pub(super) fn is_first(&self, step: Step) -> bool {
        self.migrations.first().is_some_and(|first| first.revision == step.migration.revision)
    }

    /// What the history is to say of the step's origin.
    fn origin(&self, step: Step) -> Option<&str> {
        self.adopted_from.as_deref().filter(|_| self.is_first(step))
    }

    /// Runs the step and remembers it. Nothing is left of a transaction that failed; statements that
    /// stand alone are remembered as begun.
    pub(super) async fn run(&mut self, step: Step, now: Timestamp) -> MigrateResult<()> {
        self.client.batch_execute(script::PREAMBLE).await.map_err(database)?;
        if !script::stands_alone(step.sql()) {
            return self.run_in_transaction(step, now).await;
        }
        let origin = self.origin(step);
        history::remember(&self.client, step.migration, None, origin).await.map_err(database)?;
        self.run_alone(step.sql()).await?;
        match step.direction {
            Direction::Up => {
                history::remember(&self.client, step.migration, Some(now), origin).await
            }
            Direction::Down => {
                history::forget(&self.client, step.migration, self.is_first(step)).await
            }
        }
        .map_err(database)
    }

    pub(super) async fn run_alone(&self, sql: &str) -> MigrateResult<()> {
        for statement in script::statements(sql) {
            let attempts = Attempts::within(self.patience);
            while let Err(error) = script::run_alone(&self.client, &statement).await {
                attempts.again(&self.client, error).await?;
            }
        }
        Ok(())
    }

    async fn run_in_transaction(&mut self, step: Step, now: Timestamp) -> MigrateResult<()> {
        let attempts = Attempts::within(self.patience);
        let is_first = self.is_first(step);
        while let Err(error) = try_in_transaction(&mut self.client, step, is_first, now).await {
            attempts.again(&self.client, error).await?;
        }
        Ok(())
    }

    /// Declares the database to be at the position. One that was adopted stays so; one whose
    /// history is lost counts as adopted if Alembic was there.
    pub(super) async fn rewrite_history(
        &mut self,
        target: usize,
        now: Timestamp,
    ) -> MigrateResult<()> {
        let history = history::read(&self.client).await.map_err(database)?;
        let adopted_from = match history {
            Some(history) => history.adopted_from,
            None => adopt::origin(&self.client).await.map_err(database)?,
        };
        let migrations = if adopted_from.is_some() { POSTGRES_ADOPTED } else { POSTGRES };
        let transaction = self.client.transaction().await.map_err(database)?;
        transaction
            .batch_execute("DROP TABLE IF EXISTS schema_migrations")
            .await
            .map_err(database)?;
        for (number, migration) in migrations.iter().take(target).enumerate() {
            let origin = adopted_from.as_deref().filter(|_| number == 0);
            history::remember(&transaction, migration, Some(now), origin)
                .await
                .map_err(database)?;
        }
        transaction.commit().await.map_err(database)
    }

    /// Holds the schema against what its migrations make.
    pub(super) async fn compare(&self, at: usize) -> MigrateResult<Vec<String>> {
        let has_extension = search::has_extension(&self.client).await.map_err(database)?;
        let has_index = search::has_index(&self.client).await.map_err(database)?;
        let newest = adopt::expected(POSTGRES.len());
        let found = shape::read(&self.client).await.map_err(database)?;
        let found = shape::relevant(found, &newest);
        let without_search = |lines: Vec<Line>| -> Vec<Line> {
            let is_due = |line: &Line| has_extension || has_index || line.key != search::INDEX;
            lines.into_iter().filter(is_due).collect()
        };
        Ok(if self.adopted_from.is_some() {
            adopt::differences(found, &without_search(adopt::expected(at)))
        } else {
            shape::differences(&without_search(adopt::shape_of(at)), &found, Clone::clone)
        })
    }

    /// What the step to the position adds.
    pub(super) fn describe(&self, position: usize) -> String {
        let is_adopted = self.adopted_from.is_some();
        let lines = |position: usize| match (is_adopted, position) {
            // The reference's tables are there.
            (true, 0) => adopt::shape_of(1),
            (true, _) => adopt::expected(position),
            (false, _) => adopt::shape_of(position),
        };
        let before = lines(position - 1);
        let after = lines(position);
        let added: Vec<&Line> = after.iter().filter(|line| !before.contains(line)).collect();
        let names: Vec<String> = shape::whole_tables(&added).into_iter().filter_map(name).collect();
        names.join(", ")
    }
}

/// How a plan calls an object; functions and sequences go with what uses them.
fn name(line: &Line) -> Option<String> {
    if line.is_column() {
        return Some(format!("column {}", line.key));
    }
    if line.key.starts_with("constraint ") {
        return Some(format!("{} {}", line.key, line.definition));
    }
    let is_part = line.key.starts_with("function ") || line.key.starts_with("sequence ");
    (!is_part).then(|| line.key.clone())
}

async fn try_in_transaction(
    client: &mut Client,
    step: Step,
    is_first: bool,
    now: Timestamp,
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(step.sql()).await?;
    match step.direction {
        Direction::Up => history::remember(&transaction, step.migration, Some(now), None).await?,
        Direction::Down => history::forget(&transaction, step.migration, is_first).await?,
    }
    transaction.commit().await
}

/// The step as a script for psql.
pub(super) fn print(
    step: Step,
    is_first: bool,
    adopted_from: Option<&str>,
    now: Timestamp,
) -> String {
    let Migration { revision, .. } = step.migration;
    let way = match step.direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let remember = match step.direction {
        Direction::Up => format!(
            "{};\nINSERT INTO schema_migrations VALUES ('{revision}', '{}', '{now}', {});",
            history::CREATE,
            step.migration.checksum(),
            adopted_from.filter(|_| is_first).map_or_else(|| "NULL".to_owned(), quoted),
        ),
        Direction::Down if is_first => "DROP TABLE schema_migrations;".to_owned(),
        Direction::Down => format!("DELETE FROM schema_migrations WHERE revision = '{revision}';"),
    };
    let (begin, commit) =
        if script::stands_alone(step.sql()) { ("", "") } else { ("BEGIN;\n", "COMMIT;\n") };
    let (preamble, sql) = (script::PREAMBLE, step.sql());
    format!("-- {revision}, {way}\n{preamble}{begin}{sql}{remember}\n{commit}")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
