//! The PostgreSQL store in databases whose encoding is not UTF8.
//!
//! Not here: the responses of the routes, see `api/encodings.rs`.

use std::path::Path;

use post_api::store::migrate::{POSTGRES, SchemaAdmin as _, migrate};
use post_api::store::postgres::{PostgresAdmin, request_statements};
use post_api::store::sqlite;

use super::fresh_store::noon;
use crate::support::{Cluster, ENCODINGS};

const REFERENCE: &str = include_str!("../data/reference.sql");

/// An adopted database is upgraded, compared and returned unchanged.
#[tokio::test]
async fn reference_database_in_other_encoding_is_adopted_and_returned() {
    for encoding in ENCODINGS {
        let database = Cluster::shared().database_in(encoding.name);
        database.execute(REFERENCE);
        let before = database.dump();
        let mut admin = PostgresAdmin::connect(&database.address()).await.unwrap();
        migrate(&mut admin, POSTGRES.len(), noon(), |_| {}).await.unwrap();
        assert_eq!(admin.schema_differences().await.unwrap(), [""; 0], "{}", encoding.name);
        assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0], "{}", encoding.name);
        migrate(&mut admin, 0, noon(), |_| {}).await.unwrap();
        assert_eq!(database.dump(), before, "{}", encoding.name);
    }
}

/// Other encodings than UTF8 lack most characters, so a statement with one would always fail.
#[test]
fn every_statement_and_migration_is_ascii() {
    let statements = request_statements().map(|statement| (statement.name, statement.sql));
    for (name, sql) in statements.chain(sqlite::request_statements()) {
        assert!(sql.is_ascii(), "{name}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("migrations"), root.join("src/store/postgres")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                assert!(line.is_ascii(), "{}: {line}", path.display());
            }
            files += 1;
        }
    }
    assert!(files >= 60, "{files}");
}
