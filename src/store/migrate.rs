//! Migrations: the list of all, which of them a database has, and the next step. Each store runs
//! its own steps ([`SchemaAdmin`]).
//!
//! A migration is a pair of SQL files in `migrations/`, up and down, with the same name in both
//! stores, and is built into the binary. An applied migration is never edited: the database keeps
//! its checksum, and every command refuses a difference.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// A change of the schema, and its reverse.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its name, `NNNN_name`; also the revision of the schema after it.
    pub revision: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    /// The oldest revision that a binary must know to work with a database that has this migration.
    /// A binary that does not know the migration, but knows that revision, keeps serving while
    /// others upgrade. `None` if only binaries that know the migration can work with it.
    pub compatible_from: Option<&'static str>,
}

impl Migration {
    /// Returns the SHA-256 of both files, in Base64.
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.up);
        // A SQL file contains no NUL, so two different pairs never hash the same bytes.
        hash.update([0]);
        hash.update(self.down);
        STANDARD_NO_PAD.encode(hash.finalize())
    }
}

/// Makes the lists for both stores from one list of names, each with the revision that an older
/// binary must know, if there is one. A missing file is a compile error.
macro_rules! migrations {
    ($first:literal, $($revision:literal $(compatible_from $since:literal)?,)+) => {
        pub const SQLITE: &[Migration] = &[
            migration!("sqlite", $first, "", None),
            $(migration!("sqlite", $revision, "", migration!($($since)?))),+
        ];

        pub const POSTGRES: &[Migration] = &[
            migration!("postgres", $first, "", None),
            $(migration!("postgres", $revision, "", migration!($($since)?))),+
        ];

        /// The migrations for a database that the reference service created. The first migration
        /// only adds what its tables lack.
        pub const POSTGRES_ADOPTED: &[Migration] = &[
            migration!("postgres", $first, ".adopt", None),
            $(migration!("postgres", $revision, "", migration!($($since)?))),+
        ];

        /// The shape of the schema after each of [`POSTGRES`], written by a test and used by
        /// [`SchemaAdmin::schema_differences`].
        pub const POSTGRES_SHAPES: &[&str] = &[
            include_str!(concat!("../../migrations/postgres/", $first, ".shape.txt")),
            $(include_str!(concat!("../../migrations/postgres/", $revision, ".shape.txt"))),+
        ];
    };
}

macro_rules! migration {
    () => {
        None
    };
    ($since:literal) => {
        Some($since)
    };
    ($store:literal, $revision:literal, $variant:literal, $since:expr) => {
        Migration {
            revision: $revision,
            up: include_str!(concat!(
                "../../migrations/",
                $store,
                "/",
                $revision,
                $variant,
                ".up.sql"
            )),
            down: include_str!(concat!(
                "../../migrations/",
                $store,
                "/",
                $revision,
                $variant,
                ".down.sql"
            )),
            compatible_from: $since,
        }
    };
}

migrations! {
    "0001_users_posts_votes",
    "0002_downvotes",
    "0003_vote_counts",
    "0004_indexes",
    "0005_post_search",
    "0006_tokens_valid_from",
    "0007_sessions",
    "0008_events",
    "0009_login_failures",
    "0010_installation",
    "0011_count_functions" compatible_from "0010_installation",
    "0012_account_deletions" compatible_from "0010_installation",
    "0013_unconfirmed_rotations" compatible_from "0010_installation",
    "0014_idempotency_keys" compatible_from "0010_installation",
    "0015_feed_indexes" compatible_from "0010_installation",
    "0016_user_names" compatible_from "0010_installation",
    "0017_disabled_users" compatible_from "0010_installation",
    "0018_post_changes" compatible_from "0010_installation",
    "0019_verified_emails" compatible_from "0010_installation",
    "0020_admins" compatible_from "0010_installation",
    "0021_verified_email_changes" compatible_from "0010_installation",
    "0022_change_log_ends" compatible_from "0010_installation",
}

/// A migration as the history of the database records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub revision: String,
    pub checksum: String,
    pub applied_at: Timestamp,
    /// [`Migration::compatible_from`], as the binary that ran the migration recorded it.
    pub compatible_from: Option<String>,
}

impl Applied {
    /// Whether a binary that does not know this migration can work with the database.
    fn is_compatible_with(&self, migrations: &[Migration]) -> bool {
        let newest = revision_at(migrations, migrations.len());
        self.revision.as_str() > newest
            && self.compatible_from.as_deref().is_some_and(|oldest| oldest <= newest)
    }
}

/// An operator's commands on a database.
///
/// A `target` is the number of migrations that the database is to have.
#[async_trait]
pub trait SchemaAdmin: Send {
    /// Returns the migrations for this database. The result is reliable only after another method
    /// has read the database.
    fn migrations(&self) -> &'static [Migration];

    /// Returns the applied migrations in their order; none for a database that does not exist.
    async fn applied(&mut self) -> MigrateResult<Vec<Applied>>;

    /// Describes an upgrade to the target, without changing anything.
    async fn plan(&mut self, target: usize) -> MigrateResult<Vec<String>>;

    /// Applies or reverts one migration and records that, under a lock against other processes. A
    /// step that fails is rolled back or recorded as unfinished. The next call finishes or reverts
    /// an unfinished step. Returns `None` if the database is at the target.
    async fn step_towards(&mut self, target: usize, now: Timestamp) -> MigrateResult<Option<Step>>;

    /// Records that the database is at the target, without running a migration.
    async fn stamp(&mut self, target: usize, now: Timestamp) -> MigrateResult<()>;

    /// Describes how the schema differs from the one that its migrations make.
    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>>;

    /// Describes each post whose stored count is not the sum of its votes.
    async fn wrong_counts(&mut self) -> MigrateResult<Vec<String>>;

    /// Mends the stored counts in small transactions, while others write, and deletes votes and other
    /// rows without their post or user. Describes what it changed. A post without its owner stays.
    async fn repair(&mut self) -> MigrateResult<Vec<String>>;

    /// Revokes all tokens of all accounts. Returns the number of accounts.
    async fn sign_out_all(&mut self, now: Timestamp) -> MigrateResult<u64>;

    /// Describes what the operator should know about the database in its current state.
    async fn notes(&mut self) -> MigrateResult<Vec<String>>;

    /// Returns the SQL that [`SchemaAdmin::step_towards`] would run.
    fn script(&self, step: Step, now: Timestamp) -> String;
}

/// A migration in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub direction: Direction,
    pub migration: &'static Migration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

pub type MigrateResult<T> = Result<T, MigrateError>;

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Store(#[from] super::StoreError),
    #[error(
        "the database has the migration {0}, which this binary does not know: install a newer version"
    )]
    Unknown(String),
    #[error(
        "the database has the migration {0} of a newer release: downgrade it with that release first"
    )]
    Newer(String),
    #[error("the migration {0} differs from the one that was applied to the database")]
    Changed(String),
    #[error("there is no revision {0:?}: see `post-api db history`")]
    NoSuchRevision(String),
    #[error("{0} leads beyond the {1} revision")]
    OutOfRange(String, &'static str),
    #[error("{0} does not lead {1}: the database is at {2}")]
    WrongWay(String, &'static str, String),
    #[error("another process is migrating the database: {0}")]
    Busy(String),
    #[error(
        "a pooler cannot keep the lock of a migration: connect to PostgreSQL directly, without DATABASE_PREPARED_STATEMENTS=off"
    )]
    NoSession,
    #[error("could not lock a table for its change: {0}")]
    TablesInUse(String),
    #[error("the database has other tables with our names: {}", .0.join("; "))]
    NotAdoptable(Vec<String>),
    #[error("objects of others are in the way of the migration: {}", .0.join("; "))]
    Obstructed(Vec<String>),
    #[error("the table schema_migrations is not of this service: {0}")]
    ForeignHistory(String),
    #[error(
        "tables of the service are in more than one schema of the search path: {}; name one of them with `?options=-c%20search_path%3DSCHEMA` in DATABASE_URL",
        .0.join(", ")
    )]
    SeveralSchemas(Vec<String>),
    /// The settings name a file that cannot be the database.
    #[error("{path} {problem}; {hint}")]
    UnusableFile { path: String, problem: String, hint: String },
    #[error("the search path of the role has no schema that exists and that the role may use")]
    NoSchema,
    #[error("the tables cannot be distributed: {0}")]
    NotDistributable(String),
    #[error("the tables are distributed: run `post-api db undistribute` first")]
    Distributed,
}

impl Step {
    /// Returns the step from `applied` migrations towards the target.
    #[must_use]
    pub fn next(migrations: &'static [Migration], applied: usize, target: usize) -> Option<Self> {
        use std::cmp::Ordering;
        let (direction, index) = match applied.cmp(&target) {
            Ordering::Equal => return None,
            Ordering::Less => (Direction::Up, applied),
            Ordering::Greater => (Direction::Down, applied - 1),
        };
        let migration = migrations.get(index)?;
        Some(Self { direction, migration })
    }

    #[must_use]
    pub fn sql(&self) -> &'static str {
        match self.direction {
            Direction::Up => self.migration.up,
            Direction::Down => self.migration.down,
        }
    }
}

/// Returns how many of the known migrations the database has. Does not count migrations of a newer
/// release that this binary can work with ([`Migration::compatible_from`]).
///
/// # Errors
/// [`MigrateError::Unknown`] if the database has an unknown migration, [`MigrateError::Changed`] if
/// a checksum differs.
pub fn count_applied(migrations: &[Migration], applied: &[Applied]) -> MigrateResult<usize> {
    for (number, found) in applied.iter().enumerate() {
        match migrations.get(number) {
            Some(known) if known.revision != found.revision => {
                return Err(MigrateError::Unknown(found.revision.clone()));
            }
            Some(known) if known.checksum() != found.checksum => {
                return Err(MigrateError::Changed(found.revision.clone()));
            }
            None if !found.is_compatible_with(migrations) => {
                return Err(MigrateError::Unknown(found.revision.clone()));
            }
            _ => {}
        }
    }
    Ok(applied.len().min(migrations.len()))
}

/// Returns the names of the migrations of a newer release, which follow the known ones.
#[must_use]
pub fn newer_revisions<'a>(migrations: &[Migration], applied: &'a [Applied]) -> Vec<&'a str> {
    applied.iter().skip(migrations.len()).map(|found| found.revision.as_str()).collect()
}

#[must_use]
pub fn note_about_newer(revisions: &[&str]) -> String {
    format!(
        "a newer release has migrated the database ({}), and this one can work with it",
        revisions.join(", ")
    )
}

/// Returns the revision after `applied` migrations; `base` before the first.
#[must_use]
pub fn revision_at(migrations: &[Migration], applied: usize) -> &'static str {
    applied
        .checked_sub(1)
        .and_then(|index| migrations.get(index))
        .map_or("base", |migration| migration.revision)
}

/// Parses an argument of the command line: `head`, `base`, `+N`, `-N`, a revision, or its number.
///
/// # Errors
/// [`MigrateError::NoSuchRevision`] or [`MigrateError::OutOfRange`] if there is no such revision.
pub fn find_target(migrations: &[Migration], applied: usize, target: &str) -> MigrateResult<usize> {
    match target {
        "head" => return Ok(migrations.len()),
        "base" => return Ok(0),
        _ => {}
    }
    if target.starts_with(['+', '-']) {
        return find_relative(migrations, applied, target);
    }
    let by_name = |migration: &Migration| migration.revision == target;
    let by_number = |migration: &Migration| {
        let number = migration.revision.split('_').next().unwrap_or_default();
        !target.is_empty() && number.trim_start_matches('0') == target.trim_start_matches('0')
    };
    migrations
        .iter()
        .position(|migration| by_name(migration) || by_number(migration))
        .map(|index| index + 1)
        .ok_or_else(|| MigrateError::NoSuchRevision(target.to_owned()))
}

fn find_relative(migrations: &[Migration], applied: usize, target: &str) -> MigrateResult<usize> {
    let distance: isize =
        target.parse().map_err(|_| MigrateError::NoSuchRevision(target.to_owned()))?;
    let Some(count) = applied.checked_add_signed(distance) else {
        return Err(MigrateError::OutOfRange(target.to_owned(), "base"));
    };
    if count > migrations.len() {
        return Err(MigrateError::OutOfRange(target.to_owned(), "newest"));
    }
    Ok(count)
}

/// Returns the steps of an upgrade from `applied` migrations to the target.
#[must_use]
pub fn steps_up(migrations: &'static [Migration], applied: usize, target: usize) -> Vec<Step> {
    (applied..target).filter_map(|at| Step::next(migrations, at, target)).collect()
}

/// Returns the note about accounts that are closed and not yet deleted, if there are any.
pub(super) fn closed_accounts_note(accounts: i64) -> Option<String> {
    let note = "closed accounts are being deleted; a running service deletes their rows";
    (accounts > 0).then(|| format!("{accounts} {note}"))
}

/// Migrates to the target. Calls `on_step` after each step.
///
/// # Errors
/// The error of the first step that fails. Earlier steps stay applied.
pub async fn migrate(
    admin: &mut dyn SchemaAdmin,
    target: usize,
    now: Timestamp,
    mut on_step: impl FnMut(Step),
) -> MigrateResult<()> {
    while let Some(step) = admin.step_towards(target, now).await? {
        on_step(step);
    }
    Ok(())
}
