//! The checks of `post-api doctor` on a PostgreSQL database. Each is a transaction of its own that
//! only reads, so a check that fails ends no other.

mod rights;
mod rows;
mod server;

use async_trait::async_trait;
use tokio_postgres::error::SqlState;

use super::{PostgresAdmin, counts, distribution, script, search, sequences};
use crate::error_chain::error_chain;
use crate::store::inspection::{
    Finding, Inspection, InspectionStore, NamedFinding, judge_all_counts, judge_orphans,
    list_faults,
};
use crate::store::migrate::{
    MigrateError, MigrateResult, POSTGRES, count_applied, newer_revisions, note_about_newer,
    revision_at,
};
use crate::store::postgres::Address;
use crate::store::postgres::error::state_of;

/// The server ends a statement of an inspection that is not full after this many seconds.
const STATEMENT_TIMEOUT: &str = "SET LOCAL statement_timeout = '3s';";

/// The checks that need every table of the newest revision.
const OF_NEWEST: [&str; 7] = [
    "counts",
    "orphans",
    "sequences",
    "password-hashes",
    "idempotency-keys",
    "rights",
    "search-index",
];

/// A connection that only reads.
pub struct PostgresInspector {
    admin: PostgresAdmin,
    is_newest: bool,
    /// The orphans that a full comparison of the counts has found.
    orphans: Option<Vec<String>>,
}

impl PostgresInspector {
    /// The names of all checks, in their order.
    pub const CHECKS: [&'static str; 15] = [
        "server-version",
        "read-write",
        "revision",
        "schema",
        "counts",
        "orphans",
        "sequences",
        "password-hashes",
        "idempotency-keys",
        "rights",
        "search-index",
        "clock",
        "durability",
        "autovacuum",
        "transactions",
    ];

    /// # Errors
    /// As [`PostgresAdmin::connect`].
    pub async fn connect(address: &Address) -> MigrateResult<Self> {
        let admin = PostgresAdmin::connect(address).await?;
        if admin.has_session {
            admin.client.batch_execute("SET default_transaction_read_only = on").await?;
        }
        Ok(Self { admin, is_newest: false, orphans: None })
    }

    async fn run(&mut self, check: &str, inspection: Inspection<'_>) -> Finding {
        if OF_NEWEST.contains(&check) && !self.is_newest {
            return Finding::skipped("the database is not at the newest revision");
        }
        let mut begin = script::begin_reading(Some(&self.admin.quoted_schema));
        if !inspection.is_full {
            begin.push_str(STATEMENT_TIMEOUT);
        }
        let outcome = match self.admin.client.batch_execute(&begin).await {
            Ok(()) => self.find(check, inspection).await,
            Err(error) => Err(error.into()),
        };
        // A broken connection makes the next check fail.
        let _ = self.admin.client.batch_execute("ROLLBACK").await;
        outcome.unwrap_or_else(|error| not_found(&error))
    }

    async fn find(&mut self, check: &str, inspection: Inspection<'_>) -> MigrateResult<Finding> {
        let client = &self.admin.client;
        Ok(match check {
            "server-version" => {
                let version = server::inspect_version(client).await?;
                match self.admin.describe_distribution().await? {
                    Some(note) => {
                        Finding { detail: format!("{}; {note}", version.detail), ..version }
                    }
                    None => version,
                }
            }
            "read-write" => server::inspect_mode(client).await?,
            "revision" => self.inspect_revision().await?,
            "schema" => self.inspect_schema().await?,
            "counts" if inspection.is_full => {
                let (orphans, wrong) = counts::find_by_kind(client).await?;
                self.orphans = Some(orphans);
                judge_all_counts(&wrong)
            }
            "counts" if distribution::is_distributed(client).await? => not_sampled(),
            "counts" => rows::inspect_counts(client).await?,
            "orphans" => match self.orphans.take() {
                Some(orphans) => judge_orphans(&orphans, "every row"),
                None if distribution::is_distributed(client).await? => not_sampled(),
                None => rows::inspect_orphans(client).await?,
            },
            "sequences" => inspect_sequences(&sequences::read(client).await?),
            "password-hashes" => rows::inspect_hashes(client).await?,
            "idempotency-keys" => rows::inspect_keys(client, (inspection.now)()).await?,
            "rights" => rights::inspect(client).await?,
            "search-index" => match search::notes(client).await?.first() {
                None => Finding::ok("searches use the trigram index"),
                Some(note) => not_indexed(note),
            },
            "clock" => server::inspect_clock(client, inspection.now).await?,
            "durability" => server::inspect_durability(&self.admin).await?,
            "autovacuum" => server::inspect_autovacuum(client).await?,
            _ => server::inspect_transactions(client).await?,
        })
    }

    async fn inspect_revision(&mut self) -> MigrateResult<Finding> {
        let applied = self.admin.read_applied().await?;
        let count = count_applied(self.admin.migrations, &applied)?;
        let at = revision_at(self.admin.migrations, count);
        self.is_newest = count == POSTGRES.len();
        if !self.is_newest {
            let detail = format!("the database is at {at}, {} behind", POSTGRES.len() - count);
            return Ok(Finding::fail(detail, "run `post-api db upgrade`"));
        }
        let newer = newer_revisions(self.admin.migrations, &applied);
        Ok(Finding::ok(if newer.is_empty() { at.to_owned() } else { note_about_newer(&newer) }))
    }

    async fn inspect_schema(&mut self) -> MigrateResult<Finding> {
        let mut differences = self.admin.find_differences().await?;
        // A check of its own reports them.
        let of_sequences = sequences::problems(&sequences::read(&self.admin.client).await?);
        differences.retain(|difference| !of_sequences.contains(difference));
        if differences.is_empty() {
            return Ok(Finding::ok("the schema matches the migrations"));
        }
        let cure = "`post-api db check` lists all differences: undo them, or see \"Objects of \
                    others\" in docs/postgresql.md";
        Ok(Finding::fail(list_faults(&differences), cure))
    }
}

#[async_trait]
impl InspectionStore for PostgresInspector {
    async fn inspect(&mut self, inspection: Inspection<'_>) -> Vec<NamedFinding> {
        let mut findings = Vec::new();
        for check in Self::CHECKS {
            findings.push((check, self.run(check, inspection).await));
        }
        findings
    }
}

fn inspect_sequences(sequences: &[sequences::Sequence]) -> Finding {
    let (problems, notes) = (sequences::problems(sequences), sequences::notes(sequences));
    match (problems.as_slice(), notes.as_slice()) {
        ([], []) => Finding::ok("every sequence is ahead of its column"),
        // Each line has its cure.
        ([], notes) => Finding::warn(list_faults(notes), ""),
        (problems, _) => Finding::fail(list_faults(problems), ""),
    }
}

/// A sample needs the rows of one server.
fn not_sampled() -> Finding {
    Finding::skipped("the tables are distributed: `post-api db verify` reads every row")
}

/// The note ends with its cure.
fn not_indexed(note: &str) -> Finding {
    let (detail, cure) = note.split_once(": ").unwrap_or((note, ""));
    Finding::warn(detail, cure)
}

fn not_found(error: &MigrateError) -> Finding {
    let cure = match state_of(error) {
        Some(SqlState::QUERY_CANCELED) => {
            return Finding::skipped("it took longer than three seconds: add --full");
        }
        Some(SqlState::LOCK_NOT_AVAILABLE) => {
            return Finding::skipped("another session locks a table: try again");
        }
        Some(SqlState::INSUFFICIENT_PRIVILEGE) => {
            "grant the role its rights, see \"A separate serving role\" in docs/postgresql.md"
        }
        // The others name their cause, and most of them their cure.
        _ => "",
    };
    Finding::fail(error_chain(error), cure)
}
