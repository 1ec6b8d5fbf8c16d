//! The reports of a command, which only read: the applied migrations, the plan, the differences, and
//! the notes.

use tokio_postgres::Error;

use super::{MigrationStatus, PostgresAdmin, confirmation, history, ownership, search, sequences};
use crate::store::migrate::{
    Applied, MigrateError, MigrateResult, closed_accounts_note, note_about_newer, steps_up,
};

impl PostgresAdmin {
    pub(super) async fn read_applied(&mut self) -> MigrateResult<Vec<Applied>> {
        match self.inspect().await {
            Ok(status) => Ok(status.history.applied),
            Err(error @ (MigrateError::Store(_) | MigrateError::ForeignHistory(_))) => Err(error),
            // The caller's next step reports the error.
            Err(_) => {
                let history = history::read(&self.client).await?;
                Ok(history.map_or_else(Vec::new, |history| history.applied))
            }
        }
    }

    pub(super) async fn describe_path(&mut self, target: usize) -> MigrateResult<Vec<String>> {
        let status = self.inspect().await?;
        self.refuse_obstacles(&status, target).await?;
        let mut lines = Vec::new();
        if let Some(adoptable) = status.adoptable {
            lines.extend(adoptable.plan(&self.client).await?);
        }
        let found = sequences::read(&self.client).await?;
        let warnings = sequences::problems(&found).into_iter().chain(sequences::notes(&found));
        lines.extend(warnings.map(|warning| format!("note: {warning}")));
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

    pub(super) async fn find_differences(&mut self) -> MigrateResult<Vec<String>> {
        let status = match self.inspect().await {
            Err(MigrateError::NotAdoptable(differences)) => return Ok(differences),
            other => other?,
        };
        let mut differences = Vec::new();
        if !status.history.is_empty() {
            differences.extend(self.compare(status.applied).await?);
            differences.extend(ownership::find_setting(&self.client).await?);
            differences.extend(sequences::problems(&sequences::read(&self.client).await?));
        }
        differences.extend(self.further_obstacles(&status, &differences).await?);
        if let Some(unfinished) = status.history.unfinished {
            differences.push(format!("{} is unfinished", unfinished.revision));
        }
        Ok(differences)
    }

    /// Describes what is in the way of the pending migrations, without what is reported already.
    async fn further_obstacles(
        &self,
        status: &MigrationStatus,
        reported: &[String],
    ) -> MigrateResult<Vec<String>> {
        let mut obstacles = match self.refuse_obstacles(status, self.migrations.len()).await {
            Err(MigrateError::Obstructed(obstacles)) => obstacles,
            other => other.map(|()| Vec::new())?,
        };
        let key = |line: &str| line.split(": ").next().unwrap_or_default().to_owned();
        obstacles.retain(|line| !reported.iter().any(|other| key(other) == key(line)));
        Ok(obstacles)
    }

    pub(super) async fn find_notes(&mut self) -> MigrateResult<Vec<String>> {
        let status = self.inspect().await?;
        let mut notes = Vec::new();
        if !status.newer.is_empty() {
            let newer: Vec<&str> = status.newer.iter().map(String::as_str).collect();
            notes.push(note_about_newer(&newer));
        }
        if status.history.has(search::REVISION) {
            notes.extend(search::notes(&self.client).await?);
        }
        notes.extend(sequences::notes(&sequences::read(&self.client).await?));
        let problem = confirmation::problem(&self.client, self.confirms_reads).await?;
        notes.extend(problem.map(|(problem, cure)| format!("{problem}; {cure}")));
        notes.extend(self.describe_distribution().await?);
        notes.extend(closed_accounts_note(self.count_closed_accounts().await?));
        Ok(notes)
    }

    /// Returns 0 also for a database at a revision without the table.
    async fn count_closed_accounts(&self) -> Result<i64, Error> {
        const TABLE: &str = "SELECT to_regclass('account_deletions') IS NOT NULL";
        const COUNT: &str = "SELECT count(*) FROM account_deletions";
        if !self.client.query_one(TABLE, &[]).await?.try_get(0)? {
            return Ok(0);
        }
        self.client.query_one(COUNT, &[]).await?.try_get(0)
    }
}
