//! One step: how a migration is run, printed and described.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use super::lock::Retry;
use super::shape::{self, Line};
use super::{PostgresAdmin, adopt, distribution, history, script, search};
use crate::store::migrate::{
    Direction, MigrateResult, Migration, POSTGRES, POSTGRES_ADOPTED, Step,
};

impl PostgresAdmin {
    /// Whether the step applies or reverts the first migration.
    pub(super) fn is_first(&self, step: Step) -> bool {
        self.migrations.first().is_some_and(|first| first.revision == step.migration.revision)
    }

    /// Returns the origin that the history records for the step.
    fn origin(&self, step: Step) -> Option<&str> {
        self.adopted_from.as_deref().filter(|_| self.is_first(step))
    }

    /// Runs the step and records it. A failed transaction is rolled back. Before statements run
    /// without a transaction, the migration is recorded as unfinished.
    pub(super) async fn run(&mut self, step: Step, now: Timestamp) -> MigrateResult<()> {
        self.client.batch_execute(&script::preamble(Some(&self.quoted_schema))).await?;
        if !script::runs_without_transaction(step.sql()) {
            return self.run_in_transaction(step, now).await;
        }
        let (client, migration, origin) = (&self.client, step.migration, self.origin(step));
        history::record_applied(client, migration, None, origin).await?;
        self.run_statements(step.sql()).await?;
        match step.direction {
            Direction::Up => history::record_applied(client, migration, Some(now), origin).await?,
            Direction::Down => {
                history::remove_applied(client, migration, self.is_first(step)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn run_statements(&self, sql: &str) -> MigrateResult<()> {
        for statement in script::statements(sql) {
            let retry = Retry::within(self.lock_timeouts);
            while let Err(error) = script::run_statement(&self.client, &statement).await {
                retry.after(&self.client, error).await?;
            }
        }
        Ok(())
    }

    async fn run_in_transaction(&mut self, step: Step, now: Timestamp) -> MigrateResult<()> {
        let retry = Retry::within(self.lock_timeouts);
        let is_first = self.is_first(step);
        while let Err(error) = try_in_transaction(&mut self.client, step, is_first, now).await {
            retry.after(&self.client, error).await?;
        }
        Ok(())
    }

    /// Records that the database has `target` migrations, without running them. An adopted database
    /// stays adopted. A database that has lost its history counts as adopted if it has an
    /// `alembic_version`.
    pub(super) async fn rewrite_history(
        &mut self,
        target: usize,
        now: Timestamp,
    ) -> MigrateResult<()> {
        let adopted_from = match history::read(&self.client).await? {
            Some(history) => history.adopted_from,
            None => adopt::origin(&self.client).await?,
        };
        let migrations = if adopted_from.is_some() { POSTGRES_ADOPTED } else { POSTGRES };
        let transaction = self.client.transaction().await?;
        transaction.batch_execute("DROP TABLE IF EXISTS schema_migrations").await?;
        for (number, migration) in migrations.iter().take(target).enumerate() {
            let origin = adopted_from.as_deref().filter(|_| number == 0);
            history::record_applied(&transaction, migration, Some(now), origin).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Compares the schema with the one that `applied` migrations make.
    pub(super) async fn compare(&self, applied: usize) -> MigrateResult<Vec<String>> {
        let has_extension = search::has_extension(&self.client).await?;
        let has_index = search::has_index(&self.client).await?;
        let is_distributed = distribution::is_distributed(&self.client).await?;
        let newest = shape::expected_adopted(POSTGRES.len());
        let found = shape::relevant(shape::read(&self.client).await?, &newest);
        let without_search = |lines: Vec<Line>| -> Vec<Line> {
            let is_due = |line: &Line| has_extension || has_index || line.key != search::INDEX;
            let lines = lines.into_iter().filter(is_due).collect();
            if is_distributed { distribution::distributed_shape(lines) } else { lines }
        };
        Ok(if self.adopted_from.is_some() {
            adopt::differences(found, &without_search(shape::expected_adopted(applied)))
        } else {
            shape::differences(&without_search(shape::expected(applied)), &found, Clone::clone)
        })
    }

    /// Describes what the last of `count` migrations adds.
    pub(super) fn describe(&self, count: usize) -> String {
        let is_adopted = self.adopted_from.is_some();
        let lines = |count: usize| match (is_adopted, count) {
            // The tables of the reference service exist before the first migration.
            (true, 0) => shape::expected(1),
            (true, _) => shape::expected_adopted(count),
            (false, _) => shape::expected(count),
        };
        let before = lines(count - 1);
        let after = lines(count);
        // A column whose default changes is not new.
        let is_known = |line: &Line| {
            before.contains(line)
                || (line.is_column() && before.iter().any(|known| known.key == line.key))
        };
        let added: Vec<&Line> = after.iter().filter(|line| !is_known(line)).collect();
        let names: Vec<String> =
            shape::without_parts_of_tables(&added).into_iter().filter_map(name).collect();
        if names.is_empty() { "no object".to_owned() } else { names.join(", ") }
    }
}

/// Returns the name of the object in a plan. Returns `None` for functions and sequences, because a
/// plan names only the objects that use them.
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
        Direction::Up => {
            history::record_applied(&transaction, step.migration, Some(now), None).await?;
        }
        Direction::Down => {
            history::remove_applied(&transaction, step.migration, is_first).await?;
        }
    }
    transaction.commit().await
}

/// Returns the step as a script for psql.
pub(super) fn to_script(
    step: Step,
    is_first: bool,
    adopted_from: Option<&str>,
    quoted_schema: &str,
    now: Timestamp,
) -> String {
    let Migration { revision, .. } = step.migration;
    let direction = match step.direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let record = match step.direction {
        Direction::Up => format!(
            "{};\n{};\nINSERT INTO schema_migrations VALUES ('{revision}', '{}', '{now}', {}, {});",
            history::CREATE,
            history::ADD_COMPATIBLE_FROM,
            step.migration.checksum(),
            quoted(adopted_from.filter(|_| is_first)),
            quoted(step.migration.compatible_from),
        ),
        Direction::Down if is_first => "DROP TABLE schema_migrations;".to_owned(),
        Direction::Down => format!("DELETE FROM schema_migrations WHERE revision = '{revision}';"),
    };
    let (begin, commit) = if script::runs_without_transaction(step.sql()) {
        ("", "")
    } else {
        ("BEGIN;\n", "COMMIT;\n")
    };
    let (preamble, sql) = (script::preamble(Some(quoted_schema)), step.sql());
    format!("-- {revision}, {direction}\n{preamble}{begin}{sql}{record}\n{commit}")
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}
