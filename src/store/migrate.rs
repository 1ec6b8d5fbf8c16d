//! Migrations: what they are, where a database stands among them, and which step comes next.
//! How a step is run is each store's own ([`Admin`]).
//!
//! They are SQL files in `migrations/`, one pair of up and down for each store under the same
//! name, built into the binary. An applied one is never edited: its checksum is kept in the
//! database, and a difference stops everything.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Result as StoreResult;
use crate::domain::email::Email;

/// One step between two revisions of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// `NNNN_name`: the name of the file, and of the state after it.
    pub revision: &'static str,
    pub up: &'static str,
    pub down: &'static str,
}

impl Migration {
    /// SHA-256 of both directions, in Base64.
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.up);
        // No SQL file holds a NUL, so that no two pairs run together alike.
        hash.update([0]);
        hash.update(self.down);
        STANDARD_NO_PAD.encode(hash.finalize())
    }
}

/// The one list: a migration that lacks a file for a store does not compile.
macro_rules! migrations {
    ($first:literal, $($revision:literal,)+) => {
        pub const SQLITE: &[Migration] = &[
            migration!("sqlite", $first, ""),
            $(migration!("sqlite", $revision, "")),+
        ];

        pub const POSTGRES: &[Migration] = &[
            migration!("postgres", $first, ""),
            $(migration!("postgres", $revision, "")),+
        ];

        /// The same for a database that the reference made: its tables are there already, and the
        /// first step adds what they lack.
        pub const POSTGRES_ADOPTED: &[Migration] = &[
            migration!("postgres", $first, ".adopt"),
            $(migration!("postgres", $revision, "")),+
        ];

        /// What each of [`POSTGRES`] leaves behind: made by a test, and compared with by
        /// [`Admin::schema_differences`].
        pub const POSTGRES_SHAPES: &[&str] = &[
            include_str!(concat!("../../migrations/postgres/", $first, ".shape.txt")),
            $(include_str!(concat!("../../migrations/postgres/", $revision, ".shape.txt"))),+
        ];
    };
}

macro_rules! migration {
    ($store:literal, $revision:literal, $variant:literal) => {
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
}

/// A migration as the database remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub revision: String,
    pub checksum: String,
    pub applied_at: Timestamp,
}

/// What an operator does to a database, beside serving from it.
#[async_trait]
pub trait SchemaAdmin: Send {
    /// The list for this database; which one it is may turn out only by looking.
    fn migrations(&self) -> &'static [Migration];

    /// In the order they were applied; none for a database that is not there yet.
    async fn applied(&mut self) -> StoreResult<Vec<Applied>>;

    /// What going up to the position would do, as sentences; nothing is changed.
    async fn plan(&mut self, position: usize) -> MigrateResult<Vec<String>>;

    /// Under a lock against other processes: goes one step towards the position and remembers
    /// it. A step that did not come to its end is gone again, or taken back. `None` when the
    /// database is there.
    async fn step_towards(
        &mut self,
        position: usize,
        now: Timestamp,
    ) -> MigrateResult<Option<Step>>;

    /// Remembers that the database is at the position, without running anything.
    async fn stamp(&mut self, position: usize, now: Timestamp) -> MigrateResult<()>;

    /// How the schema differs from what its migrations make; empty if it does not.
    async fn schema_differences(&mut self) -> MigrateResult<Vec<String>>;

    /// Posts whose kept count is not the sum of their votes, as sentences; empty if all are.
    async fn wrong_counts(&mut self) -> StoreResult<Vec<String>>;

    /// Ends all tokens of the account with this address, or of every account, and says of how many.
    async fn sign_out(&mut self, whose: SignOutTarget<'_>, now: Timestamp) -> StoreResult<u64>;

    /// What the operator should know about the database where it is now, as sentences.
    async fn notes(&mut self) -> StoreResult<Vec<String>> {
        Ok(Vec::new())
    }

    /// The step as a script: what [`Admin::step_towards`] would run.
    fn script(&self, step: Step, now: Timestamp) -> String;
}

/// Accounts that an operator means.
#[derive(Debug, Clone, Copy)]
pub enum SignOutTarget<'a> {
    AllUsers,
    Of(&'a Email),
}

/// One migration, one way.
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
    #[error("the database has the migration {0}, which this binary does not know: it is too old")]
    Unknown(String),
    #[error("the migration {0} is not the one that was applied to the database")]
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
        "a pooler gives no session of one's own: name PostgreSQL itself, without DATABASE_PREPARED_STATEMENTS=off"
    )]
    NoSession,
    #[error("the tables are not to be had for a change: {0}")]
    Refused(String),
    #[error("the database has other tables of these names: {}", .0.join("; "))]
    NotAdoptable(Vec<String>),
}

impl Step {
    /// The step after `applied` migrations on the way to `position`.
    #[must_use]
    pub fn next(migrations: &'static [Migration], applied: usize, position: usize) -> Option<Self> {
        use std::cmp::Ordering;
        let (direction, index) = match applied.cmp(&position) {
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

/// How many of the known migrations the database has.
///
/// # Errors
/// If it has one that is not known, or not in this form.
pub fn position(migrations: &[Migration], applied: &[Applied]) -> MigrateResult<usize> {
    for (number, found) in applied.iter().enumerate() {
        match migrations.get(number) {
            Some(known) if known.revision != found.revision => {
                return Err(MigrateError::Unknown(found.revision.clone()));
            }
            Some(known) if known.checksum() != found.checksum => {
                return Err(MigrateError::Changed(found.revision.clone()));
            }
            Some(_) => {}
            None => return Err(MigrateError::Unknown(found.revision.clone())),
        }
    }
    Ok(applied.len())
}

/// The revision at a position: `base` before the first migration.
#[must_use]
pub fn revision_at(migrations: &[Migration], position: usize) -> &'static str {
    position
        .checked_sub(1)
        .and_then(|index| migrations.get(index))
        .map_or("base", |migration| migration.revision)
}

/// The position that a word of the command line means: `head`, `base`, `+N`, `-N`, a revision,
/// or its number.
///
/// # Errors
/// If there is no such position.
pub fn find_target(migrations: &[Migration], now_at: usize, target: &str) -> MigrateResult<usize> {
    match target {
        "head" => return Ok(migrations.len()),
        "base" => return Ok(0),
        _ => {}
    }
    if target.starts_with(['+', '-']) {
        return find_relative(migrations, now_at, target);
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

fn find_relative(migrations: &[Migration], now_at: usize, target: &str) -> MigrateResult<usize> {
    let distance: isize =
        target.parse().map_err(|_| MigrateError::NoSuchRevision(target.to_owned()))?;
    let Some(position) = now_at.checked_add_signed(distance) else {
        return Err(MigrateError::OutOfRange(target.to_owned(), "base"));
    };
    if position > migrations.len() {
        return Err(MigrateError::OutOfRange(target.to_owned(), "newest"));
    }
    Ok(position)
}

/// The steps from one position up to another.
#[must_use]
pub fn steps_up(migrations: &'static [Migration], applied: usize, position: usize) -> Vec<Step> {
    (applied..position).filter_map(|at| Step::next(migrations, at, position)).collect()
}

/// Goes all the way to the position, telling each step as it is done.
///
/// # Errors
/// The first step that fails ends it; the steps before it stay.
pub async fn migrate(
    admin: &mut dyn SchemaAdmin,
    position: usize,
    now: Timestamp,
    mut done: impl FnMut(Step),
) -> MigrateResult<()> {
    while let Some(step) = admin.step_towards(position, now).await? {
        done(step);
    }
    Ok(())
}
