//! The content of a database, read without the service.

use std::path::Path;

use rusqlite::Connection;

use crate::support::PostgresDatabase;

pub(super) trait StoredRows {
    /// Returns the first two columns of each row as texts.
    fn rows(&self, sql: &str) -> Vec<(String, String)>;

    /// Checks the consistency that this database system can verify.
    fn check_itself(&self, seed: &str);

    /// Checks the invariants of the schema.
    fn check(&self, seed: &str) {
        self.check_itself(seed);
        let twice = "SELECT CAST(post_id AS TEXT), CAST(user_id AS TEXT)
                       FROM votes GROUP BY post_id, user_id HAVING count(*) > 1";
        assert_eq!(self.rows(twice), [], "{seed}: duplicate votes");
        let wrong = "SELECT CAST(id AS TEXT), title FROM posts
              WHERE coalesce((SELECT votes FROM vote_counts WHERE post_id = id), 0)
                 <> coalesce((SELECT sum(dir) FROM votes WHERE post_id = id), 0)";
        assert_eq!(self.rows(wrong), [], "{seed}: posts with a wrong count");
    }
}

pub(super) struct SqliteFile(Connection);

impl SqliteFile {
    pub(super) fn open(path: &Path) -> Self {
        Self(Connection::open(path).unwrap())
    }
}

impl StoredRows for SqliteFile {
    fn rows(&self, sql: &str) -> Vec<(String, String)> {
        let mut statement = self.0.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn check_itself(&self, seed: &str) {
        let check = self.rows("SELECT integrity_check, '' FROM pragma_integrity_check");
        assert_eq!(check, [("ok".to_owned(), String::new())], "{seed}");
        let orphans = self.rows("SELECT \"table\", parent FROM pragma_foreign_key_check");
        assert_eq!(orphans, [], "{seed}");
    }
}

impl StoredRows for PostgresDatabase<'_> {
    fn rows(&self, sql: &str) -> Vec<(String, String)> {
        self.query_pairs(sql)
    }

    /// Waits until no other session is active, so that interrupted transactions have ended.
    fn check_itself(&self, seed: &str) {
        const OTHERS: &str = "SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
        for _ in 0..1000 {
            if self.query(OTHERS).is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{seed}: a session does not end");
    }
}
