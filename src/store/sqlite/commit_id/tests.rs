//! The check of logs against files: own, earlier, foreign, damaged.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::store::sqlite::connection::open_writer;

const FULL: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The bytes of a database file and of its log.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    /// Copies the files of an open database, as they are after a crash.
    fn of(database: &Path) -> Self {
        let log = std::fs::read(companion(database, "-wal")).unwrap_or_default();
        Self { database: std::fs::read(database).unwrap(), log }
    }

    /// Writes the files into a new folder.
    fn place(&self) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("posts.db");
        std::fs::write(&path, &self.database).unwrap();
        std::fs::write(companion(&path, "-wal"), &self.log).unwrap();
        (folder, path)
    }

    /// Returns the rows if SQLite finds no corruption.
    fn rows(&self) -> Option<Vec<(i64, Vec<u8>)>> {
        let (_folder, path) = self.place();
        let database = open_unsynchronized(&path);
        let check: String =
            database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).ok()?;
        let mut select = database.prepare("SELECT * FROM rows ORDER BY number").ok()?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).ok()?;
        rows.collect::<rusqlite::Result<_>>().ok().filter(|_| check == "ok")
    }

    /// Returns a file without a log, with the same pages: `.backup`, or a copy after a stop.
    fn backup(&self) -> Self {
        let (_folder, path) = self.place();
        let database = open_unsynchronized(&path);
        database.query_row(FULL, [], |_| Ok(())).unwrap();
        Self { database: std::fs::read(&path).unwrap(), log: Vec::new() }
    }

    fn with_log_of(&self, other: &Self) -> Self {
        Self { database: self.database.clone(), log: other.log.clone() }
    }

    fn check(&self) -> Result<()> {
        let (_folder, path) = self.place();
        check_log(&path)
    }
}

/// Opens the file with another program, which does not wait for the disk.
fn open_unsynchronized(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database.pragma_update(None, "synchronous", "OFF").unwrap();
    database
}

struct Database {
    _folder: TempDir,
    path: PathBuf,
    writer: Connection,
}

impl Database {
    fn open(files: &Files) -> Self {
        let (folder, path) = files.place();
        let writer = open_writer(&path).unwrap();
        writer.pragma_update(None, "synchronous", "OFF").unwrap();
        Self { _folder: folder, path, writer }
    }

    fn create() -> Self {
        let database = Self::open(&Files { database: Vec::new(), log: Vec::new() });
        database.commit("CREATE TABLE rows (number INTEGER PRIMARY KEY, content BLOB)");
        database
    }

    fn commit(&self, sql: &str) {
        self.writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        self.writer.execute_batch(sql).unwrap();
        record_commit(&self.writer).unwrap();
        self.writer.execute_batch("COMMIT").unwrap();
    }

    fn insert(&self) {
        self.commit("INSERT INTO rows (content) VALUES (randomblob(1000 + random() % 900))");
    }

    fn checkpoint(&self, sql: &str) {
        self.writer.query_row(sql, [], |_| Ok(())).unwrap();
    }

    fn files(&self) -> Files {
        Files::of(&self.path)
    }
}

fn message(outcome: Result<()>) -> String {
    use std::error::Error as _;
    outcome.unwrap_err().source().unwrap().to_string()
}

/// Runs a random step: the service, an operator's program, or a checkpoint.
fn step(database: &Database, reader: &mut Option<Connection>, choice: usize) {
    match choice {
        0..6 => database.insert(),
        6 => database.commit("DELETE FROM rows WHERE number % 3 = 0"),
        7 => database.checkpoint("PRAGMA wal_checkpoint(PASSIVE)"),
        8 => {
            *reader = None;
            database.checkpoint(FULL);
        }
        9 => {
            let connection = Connection::open(&database.path).unwrap();
            connection.execute_batch("BEGIN; SELECT * FROM rows LIMIT 1").unwrap();
            *reader = Some(connection);
        }
        10 => *reader = None,
        11 => {
            let other = open_unsynchronized(&database.path);
            other.execute_batch("INSERT INTO rows (content) VALUES (zeroblob(3000))").unwrap();
        }
        _ => {
            let other = open_unsynchronized(&database.path);
            other.execute_batch("CREATE INDEX IF NOT EXISTS contents ON rows (content)").unwrap();
        }
    }
}

/// Returns numbers of the sequence `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap() % bound
    }

    fn one_of<'list, T>(&mut self, list: &'list [T]) -> &'list T {
        &list[self.below(list.len())]
    }
}

/// After a crash at any moment the own log is accepted, also if other programs write. If a log is
/// accepted next to an earlier copy, or next to a copy of another branch of history, SQLite makes
/// the state of the log of it. Only writes of other programs can break the second promise.
#[test]
fn accepted_log_leads_to_its_state() {
    let mut random = Random(1);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..12 {
        let has_other_programs = round % 3 == 0;
        let steps = if has_other_programs { 13 } else { 11 };
        let mut databases = vec![Database::create()];
        let mut reader = None;
        let mut copies: Vec<Files> = Vec::new();
        for _ in 0..40 {
            let database = random.below(databases.len());
            step(&databases[database], &mut reader, random.below(steps));
            let files = databases[database].files();
            files.check().unwrap();
            let rows = files.rows().unwrap();
            copies.extend([files.backup(), files.clone()]);
            for _ in 0..4 {
                let pair = random.one_of(&copies).with_log_of(&files);
                if files.log.is_empty() || has_other_programs {
                    continue;
                }
                if pair.check().is_err() {
                    refused += 1;
                } else {
                    accepted += 1;
                    assert!(pair.rows().as_ref() == Some(&rows), "round {round}");
                }
            }
            if databases.len() < 3 && random.below(8) == 0 {
                databases.push(Database::open(&random.one_of(&copies).backup()));
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

#[test]
fn log_of_a_later_state_is_refused() {
    let database = Database::create();
    database.insert();
    let backup = database.files().backup();
    database.checkpoint(FULL);
    database.insert();
    database.checkpoint(FULL);
    database.insert();
    let error = message(backup.with_log_of(&database.files()).check());
    assert!(error.contains("posts.db-wal belongs to another state of"), "{error}");
    assert!(error.contains("remove the -wal and the -shm file"), "{error}");
}

#[test]
fn log_of_another_branch_is_refused() {
    let database = Database::create();
    let backup = database.files().backup();
    let branches = [Database::open(&backup), Database::open(&backup)];
    for branch in &branches {
        branch.insert();
    }
    let [one, other] = branches.map(|branch| branch.files());
    one.backup().with_log_of(&other).check().unwrap_err();
    other.backup().with_log_of(&one).check().unwrap_err();
    backup.with_log_of(&one).check().unwrap();
}

#[test]
fn log_of_another_database_is_refused() {
    let [one, other] = [Database::create(), Database::create()];
    for database in [&one, &other] {
        database.insert();
    }
    one.files().backup().with_log_of(&other.files()).check().unwrap_err();
}

/// The copy has the commit ID of a commit in the log, and other pages.
#[test]
fn log_next_to_a_compact_copy_is_refused() {
    let database = Database::create();
    for _ in 0..20 {
        database.insert();
    }
    database.commit("DELETE FROM rows WHERE number < 10");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("copy.db");
    let into = format!("VACUUM INTO '{}'", path.display());
    database.writer.execute_batch(&into).unwrap();
    Files::of(&path).with_log_of(&database.files()).check().unwrap_err();
}

#[test]
fn log_without_its_database_is_refused() {
    let database = Database::create();
    database.insert();
    let files = database.files();
    let empty = Files { database: Vec::new(), log: files.log.clone() };
    let error = message(empty.check());
    assert!(error.contains("posts.db is missing or empty, but its log"), "{error}");
    let (_folder, path) = files.place();
    std::fs::remove_file(&path).unwrap();
    check_log(&path).unwrap_err();
}

/// The database may have been used with another program, or with this one before it wrote IDs.
#[test]
fn log_without_commit_id_is_accepted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("posts.db");
    let database = Connection::open(&path).unwrap();
    let sql = "PRAGMA journal_mode = WAL; CREATE TABLE rows (number INTEGER PRIMARY KEY);
               INSERT INTO rows VALUES (1)";
    database.execute_batch(sql).unwrap();
    assert!(!Files::of(&path).log.is_empty());
    check_log(&path).unwrap();
}

/// SQLite replays the whole transactions at the start of a log.
#[test]
fn damaged_end_of_a_log_is_ignored() {
    let database = Database::create();
    database.insert();
    let backup = database.files().backup();
    database.checkpoint(FULL);
    database.insert();
    let first = database.files();
    database.insert();
    let mut torn = database.files();
    let end = torn.log.len();
    torn.log[end - 1] ^= 1;
    torn.check().unwrap();
    assert_eq!(torn.rows(), first.rows());
    backup.with_log_of(&torn).check().unwrap();
    torn.log.truncate(40);
    Files { database: Vec::new(), log: torn.log }.check().unwrap();
}

#[test]
fn log_next_to_the_target_of_a_link_is_found() {
    let database = Database::create();
    database.insert();
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&database.path, &link).unwrap();
    assert_eq!(
        companion(&link, "-wal").canonicalize().unwrap(),
        companion(&database.path, "-wal").canonicalize().unwrap()
    );
}
