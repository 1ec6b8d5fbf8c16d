//! The checks of `post-api doctor` on a SQLite file. They create and change no file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::super::database_lock::DatabaseLock;
use super::super::files::LARGE_LOG;
use super::super::read_only::ReadOnly;
use super::super::wal::companion;
use super::super::{commit_id, usable_file};
use super::{counts, history, schema, unreachable, verification};
use crate::error_chain::error_chain;
use crate::store::inspection::{
    Finding, Inspection, InspectionStore, MANY_KEYS, NamedFinding, judge_all_counts, judge_counts,
    judge_due_keys, judge_hashes, judge_orphans, list_faults, sample_places,
};
use crate::store::migrate::{
    MigrateError, MigrateResult, SQLITE, count_applied, newer_revisions, note_about_newer,
    revision_at,
};

/// A sample ends early if its rows come from a slow disk.
const SAMPLE_TIME: Duration = Duration::from_secs(1);

/// The tables whose rows can be orphans: name, key, and a statement that returns the first row from
/// a key on, with the table whose row it lacks, if it lacks one.
const ORPHANS: [(&str, &str, &str); 5] = [
    (
        "posts",
        "id",
        "SELECT id, CASE WHEN NOT EXISTS (SELECT 1 FROM users WHERE users.id = posts.owner_id)
                         THEN 'users' END
           FROM posts WHERE id >= ?1 ORDER BY id LIMIT 1",
    ),
    (
        "vote_counts",
        "post_id",
        "SELECT post_id, CASE WHEN NOT EXISTS (SELECT 1 FROM posts WHERE posts.id = post_id)
                              THEN 'posts' END
           FROM vote_counts WHERE post_id >= ?1 ORDER BY post_id LIMIT 1",
    ),
    (
        "votes",
        "post_id",
        "SELECT post_id,
                CASE WHEN NOT EXISTS (SELECT 1 FROM posts WHERE posts.id = post_id) THEN 'posts'
                     WHEN NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id) THEN 'users' END
           FROM votes WHERE post_id >= ?1 ORDER BY post_id, user_id LIMIT 1",
    ),
    (
        "sessions",
        "id",
        "SELECT id, CASE WHEN NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id)
                         THEN 'users' END
           FROM sessions WHERE id >= ?1 ORDER BY id LIMIT 1",
    ),
    (
        "events",
        "id",
        "SELECT id, CASE WHEN NOT EXISTS (SELECT 1 FROM users WHERE users.id = user_id)
                         THEN 'users' END
           FROM events WHERE id >= ?1 ORDER BY id LIMIT 1",
    ),
];

const COUNTS: &str = "SELECT id,
        coalesce((SELECT votes FROM vote_counts WHERE post_id = posts.id), 0),
        coalesce((SELECT sum(dir) FROM votes WHERE post_id = posts.id), 0)
   FROM posts WHERE id >= ?1 ORDER BY id LIMIT 1";

const HASHES: &str = "SELECT id, substr(password, 1, 10) FROM users
  WHERE id >= ?1 ORDER BY id LIMIT 1";

const DUE_KEYS: &str = "SELECT count(*) FROM
    (SELECT 1 FROM idempotency_keys WHERE expires_at <= ?1 LIMIT ?2)";

/// A file that is open for reading.
pub struct SqliteInspector {
    path: PathBuf,
    file: ReadOnly,
    _lock: DatabaseLock,
}

/// A check on a file at the newest revision.
type Check = fn(&Connection, Inspection<'_>) -> MigrateResult<Finding>;

const CHECKS_OF_ROWS: [(&str, Check); 5] = [
    ("counts", inspect_counts),
    ("orphans", inspect_orphans),
    ("sequences", inspect_sequences),
    ("password-hashes", inspect_hashes),
    ("idempotency-keys", inspect_keys),
];

impl SqliteInspector {
    /// The names of all checks, in their order.
    pub const CHECKS: [&'static str; 11] = [
        "sqlite-version",
        "revision",
        "schema",
        "counts",
        "orphans",
        "sequences",
        "password-hashes",
        "idempotency-keys",
        "log-size",
        "statistics",
        "integrity",
    ];

    /// Returns `None` if the file does not exist.
    ///
    /// # Errors
    /// If the path is not that of a database, its log belongs to another file, or SQLite cannot
    /// open it without creating a file.
    pub fn open(path: &Path) -> MigrateResult<Option<Self>> {
        usable_file::check(path)?;
        commit_id::check_log(path).map_err(unreachable)?;
        // An empty file has no database yet.
        if path.metadata().map_or(0, |metadata| metadata.len()) == 0 {
            return Ok(None);
        }
        let lock = DatabaseLock::share_existing(path)?;
        let file = ReadOnly::open(path).map_err(unreachable)?;
        Ok(Some(Self { path: path.to_owned(), file, _lock: lock }))
    }

    fn inspect_all(&self, inspection: Inspection<'_>) -> Vec<NamedFinding> {
        let database = &self.file.connection;
        let mut findings = vec![("sqlite-version", Finding::ok(rusqlite::version()))];
        let (revision, is_newest) = match inspect_revision(database) {
            Ok(outcome) => outcome,
            Err(error) => (failed(&error), false),
        };
        findings.push(("revision", revision));
        findings.push(("schema", inspect_schema(database).unwrap_or_else(|error| failed(&error))));
        for (name, check) in CHECKS_OF_ROWS {
            findings.push((
                name,
                match check {
                    _ if !is_newest => {
                        Finding::skipped("the database is not at the newest revision")
                    }
                    check => check(database, inspection).unwrap_or_else(|error| failed(&error)),
                },
            ));
        }
        findings.push(("log-size", self.inspect_log()));
        let statistics = inspect_statistics(database).unwrap_or_else(|error| failed(&error));
        findings.push(("statistics", statistics));
        findings.push(("integrity", inspect_pages(database, inspection)));
        findings
    }

    fn inspect_log(&self) -> Finding {
        let bytes = companion(&self.path, "-wal").metadata().map_or(0, |metadata| metadata.len());
        if bytes <= LARGE_LOG {
            return Finding::ok(format!("the log has {bytes} bytes"));
        }
        Finding::warn(
            format!("the log has {bytes} bytes"),
            "end long reads by other programs; a stop of the service copies the log into the file",
        )
    }
}

#[async_trait]
impl InspectionStore for SqliteInspector {
    async fn inspect(&mut self, inspection: Inspection<'_>) -> Vec<NamedFinding> {
        let findings = self.inspect_all(inspection);
        if !self.file.is_outdated(&self.path) {
            return findings;
        }
        // A service has started meanwhile, so there is a log now.
        match ReadOnly::open(&self.path) {
            Ok(file) => {
                self.file = file;
                self.inspect_all(inspection)
            }
            Err(error) => {
                let error = failed(&error.into());
                findings.into_iter().map(|(name, _)| (name, error.clone())).collect()
            }
        }
    }
}

fn failed(error: &MigrateError) -> Finding {
    let cure = match error {
        MigrateError::Store(_) => {
            "if the file is damaged, restore a backup with `post-api restore`"
        }
        // The others name their cure.
        _ => "",
    };
    Finding::fail(error_chain(error), cure)
}

/// Also returns whether the file is at the newest revision.
fn inspect_revision(database: &Connection) -> MigrateResult<(Finding, bool)> {
    let applied = history::read(database)?;
    let count = count_applied(SQLITE, &applied)?;
    let at = revision_at(SQLITE, count);
    if count < SQLITE.len() {
        let detail = format!("the database is at {at}, {} behind", SQLITE.len() - count);
        let cure = "start the service, which upgrades it, or run `post-api db upgrade`";
        return Ok((Finding::warn(detail, cure), false));
    }
    let newer = newer_revisions(SQLITE, &applied);
    let detail = if newer.is_empty() { at.to_owned() } else { note_about_newer(&newer) };
    Ok((Finding::ok(detail), true))
}

fn inspect_schema(database: &Connection) -> MigrateResult<Finding> {
    let count = count_applied(SQLITE, &history::read(database)?)?;
    let differences = schema::differences(database, count)?;
    if differences.is_empty() {
        return Ok(Finding::ok("the schema matches the migrations"));
    }
    let cure = "undo the changes, or restore a backup; `post-api db check` lists them all";
    Ok(Finding::fail(list_faults(&differences), cure))
}

fn inspect_counts(database: &Connection, inspection: Inspection<'_>) -> MigrateResult<Finding> {
    if inspection.is_full {
        return Ok(judge_all_counts(&counts::describe_wrong_counts(database)?));
    }
    let counts = sample(database, "posts", "id", COUNTS, |row| Ok((row.get(1)?, row.get(2)?)))?;
    let counts: Vec<(i64, i64, i64)> =
        counts.into_iter().map(|(post, (kept, cast))| (post, kept, cast)).collect();
    Ok(judge_counts(&counts))
}

fn inspect_orphans(database: &Connection, inspection: Inspection<'_>) -> MigrateResult<Finding> {
    if inspection.is_full {
        return Ok(judge_orphans(&counts::find_orphans(database)?, "every row"));
    }
    let mut orphans = Vec::new();
    for (table, key, statement) in ORPHANS {
        let sampled =
            sample(database, table, key, statement, |row| row.get::<_, Option<String>>(1))?;
        for parent in ["posts", "users"] {
            let lacking = sampled.values().filter(|lacks| lacks.as_deref() == Some(parent)).count();
            if lacking > 0 {
                orphans
                    .push(format!("{lacking} of {table} name a row of {parent} that is not there"));
            }
        }
    }
    Ok(judge_orphans(&orphans, "a sample of each table"))
}

/// `SQLite` remembers the largest ID that was given, so that the ID of a deleted row is not given
/// again.
fn inspect_sequences(database: &Connection, _: Inspection<'_>) -> MigrateResult<Finding> {
    let mut behind = Vec::new();
    for table in ["users", "posts", "sessions", "events"] {
        let sql = format!(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0),
                    coalesce((SELECT max(id) FROM {table}), 0)"
        );
        let (given, largest): (i64, i64) =
            database.query_row(&sql, [table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if given < largest {
            behind.push(format!("{table}: {given} is recorded, but there is an ID {largest}"));
        }
    }
    if behind.is_empty() {
        return Ok(Finding::ok("no ID can be given twice"));
    }
    let cure = "correct `seq` in the table sqlite_sequence while the service is stopped";
    Ok(Finding::fail(list_faults(&behind), cure))
}

fn inspect_hashes(database: &Connection, _: Inspection<'_>) -> MigrateResult<Finding> {
    let sampled = sample(database, "users", "id", HASHES, |row| row.get::<_, String>(1))?;
    let count = |beginnings: &[&str]| {
        let has = |hash: &&String| beginnings.iter().any(|beginning| hash.starts_with(beginning));
        i64::try_from(sampled.values().filter(has).count()).unwrap_or(i64::MAX)
    };
    let (strong, weak) = (count(&["$argon2id$"]), count(&["$argon2i$", "$argon2d$", "$2"]));
    Ok(judge_hashes(strong, weak, count(&[""]) - strong - weak))
}

fn inspect_keys(database: &Connection, inspection: Inspection<'_>) -> MigrateResult<Finding> {
    let now: Timestamp = (inspection.now)();
    let values = [now.as_microsecond(), MANY_KEYS + 1];
    Ok(judge_due_keys(database.query_row(DUE_KEYS, values, |row| row.get(0))?))
}

/// Both answers are sound: each statement that statistics could mislead names its index.
fn inspect_statistics(database: &Connection) -> MigrateResult<Finding> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1')";
    let has_statistics: bool = database.query_row(exists, [], |row| row.get(0))?;
    let are = if has_statistics { "are present" } else { "are absent" };
    Ok(Finding::ok(format!("statistics of ANALYZE {are}; the service works with and without")))
}

fn inspect_pages(database: &Connection, inspection: Inspection<'_>) -> Finding {
    const CURE: &str = "stop the service and restore a backup with `post-api restore`";
    if !inspection.is_full {
        return Finding::skipped("it reads every page: add --full");
    }
    match verification::find_damages(database) {
        Ok(damages) if damages.is_empty() => Finding::ok("every page is sound"),
        Ok(damages) => Finding::fail(list_faults(&damages), CURE),
        Err(error) => Finding::fail(error_chain(&error), CURE),
    }
}

/// Returns the rows of a sample by their key, the first column of the statement. The statement
/// returns the first row from a key on.
fn sample<T>(
    database: &Connection,
    table: &str,
    key: &str,
    statement: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<BTreeMap<i64, T>> {
    let range =
        format!("SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})");
    let range = database.query_row(&range, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = range else { return Ok(BTreeMap::new()) };
    let end = Instant::now() + SAMPLE_TIME;
    let mut statement = database.prepare(statement)?;
    let mut rows = BTreeMap::new();
    for place in sample_places((first, last)) {
        let row = statement.query_row([place], |row| Ok((row.get(0)?, read(row)?))).optional()?;
        rows.extend(row);
        if Instant::now() > end {
            break;
        }
    }
    Ok(rows)
}
