//! The checks of the embedded database.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use post_api::clock::{Clock as _, SystemClock};
use post_api::store::inspection::{Inspection, InspectionStore as _};
use post_api::store::sqlite::SqliteInspector;
use serde_json::json;

use super::doctor;
use crate::cli::backup::folder_with_posts;
use crate::cli::{folder, open, run};
use crate::support::{PASSWORD, Service};

const PAGE: i64 = 4096;

/// Damages the first page of an index.
fn damage_page(folder: &Path) {
    let root: i64 = open(folder)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'posts_owner'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let file = OpenOptions::new().write(true).open(folder.join("data/posts.db")).unwrap();
    let place = u64::try_from((root - 1) * PAGE).unwrap();
    file.write_all_at(&[0xff; 64], place).unwrap();
}

#[tokio::test]
async fn faults_of_the_database_are_reported_by_their_check() {
    const ORPHANS: &str = "PRAGMA foreign_keys = off;";
    let many_keys = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
                                                    WHERE n <= 10000)
        INSERT INTO idempotency_keys (user_id, key, fingerprint, outcome, at, expires_at)
        SELECT 7, CAST(n AS BLOB), x'', 1, 0, 1 FROM numbers";
    for (fault, check, status, text) in [
        ("DROP INDEX posts_owner", "schema", "FAIL", "index posts_owner is missing"),
        (
            "UPDATE vote_counts SET votes = 9 WHERE post_id = 2",
            "counts",
            "FAIL",
            "post 2: the count says 9, its votes add up to 1 | run `post-api db verify --repair`",
        ),
        (
            &format!("{ORPHANS} DELETE FROM users"),
            "orphans",
            "FAIL",
            "3 of posts name a row of users that is not there",
        ),
        (
            &format!("{ORPHANS} DELETE FROM posts WHERE id = 2"),
            "orphans",
            "FAIL",
            "1 of vote_counts name a row of posts that is not there; 1 of votes name",
        ),
        (
            &format!(
                "{ORPHANS} INSERT INTO events (user_id, at, kind, is_refusal) VALUES (8, 0, '', 0)"
            ),
            "orphans",
            "FAIL",
            "1 of events name a row of users that is not there",
        ),
        ("DELETE FROM sqlite_sequence WHERE name = 'posts'", "sequences", "FAIL", "an ID 3"),
        ("UPDATE users SET password = '$2b$12$x'", "password-hashes", "warn", "1 of 1 "),
        ("UPDATE users SET password = '$argon2i$v=19$'", "password-hashes", "warn", "(100 %)"),
        (
            "UPDATE users SET password = 'hunter2'",
            "password-hashes",
            "warn",
            "no hash that is known",
        ),
        (many_keys, "idempotency-keys", "warn", "more than 10000 expired keys"),
        ("ANALYZE", "statistics", "ok", "are present"),
        ("DROP TABLE schema_migrations", "revision", "warn", "the database is at base"),
    ] {
        let folder = folder_with_posts().await;
        doctor(folder.path(), "", &[]).expect_healthy().expect("statistics", "ok", "are absent");
        open(folder.path()).execute_batch(fault).unwrap();
        doctor(folder.path(), "", &[]).expect(check, status, text);
        doctor(folder.path(), "--full", &[]).expect(check, status, text);
    }
}

#[tokio::test]
async fn old_revision_is_reported_and_skips_the_checks_of_rows() {
    let folder = folder_with_posts().await;
    run(folder.path(), "db downgrade 9").expect(0);
    let report = doctor(folder.path(), "", &[]);
    report.expect("revision", "warn", "13 behind | start the service, which upgrades it");
    report.expect("schema", "ok", "");
    for check in ["counts", "orphans", "sequences", "password-hashes", "idempotency-keys"] {
        report.expect(check, "skipped", "the database is not at the newest revision");
    }
    open(folder.path()).execute_batch("UPDATE schema_migrations SET checksum = 'x'").unwrap();
    doctor(folder.path(), "", &[]).expect("revision", "FAIL", "differs from the one");
}

/// The counts and references of every row are compared only by a full inspection.
#[tokio::test]
async fn full_inspection_reads_every_page_and_row() {
    let folder = folder_with_posts().await;
    let path = folder.path();
    open(path)
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
                                            WHERE n < 100000)
             INSERT INTO posts (owner_id, created_at, title, content)
             SELECT 7, 0, '', '' FROM numbers",
        )
        .unwrap();
    let sampled = doctor(path, "", &[]);
    let line = sampled.expect("counts", "ok", "sampled posts").line("counts").clone();
    let words: Vec<&str> = line.text.split(' ').collect();
    let posts: u32 = words[3].parse().unwrap();
    assert!((400..=1000).contains(&posts), "{line:?}");
    sampled.expect("integrity", "skipped", "add --full");
    doctor(path, "--full", &[])
        .expect("integrity", "ok", "every page is sound")
        .expect("counts", "ok", "every count matches its votes")
        .expect("orphans", "ok", "(every row)");

    damage_page(path);
    doctor(path, "--full", &[]).expect("integrity", "FAIL", "post-api restore");
}

#[tokio::test]
async fn large_log_is_reported() {
    let folder = folder_with_posts().await;
    for (bytes, status) in [(256 * 1024 * 1024, "ok"), (256 * 1024 * 1024 + 1, "warn")] {
        for (ending, bytes) in [("-wal", bytes), ("-shm", 32 * 1024)] {
            let path = folder.path().join(format!("data/posts.db{ending}"));
            let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.set_len(bytes).unwrap();
        }
        let report = doctor(folder.path(), "", &[]);
        report.expect("log-size", status, &format!("the log has {bytes} bytes"));
    }
}

#[test]
fn file_that_is_missing_or_no_database_is_reported_and_skips_the_rest() {
    let folder = folder();
    let missing = doctor(folder.path(), "", &[]);
    missing.expect("database", "warn", "there is no database ./data/posts.db yet");
    std::fs::write(folder.path().join("data/posts.db"), "no database").unwrap();
    let another = doctor(folder.path(), "", &[]);
    another.expect("database", "FAIL", "is not an SQLite database | name another file");
    for report in [missing, another] {
        let (_, later) = report.output.split_once(" database: ").unwrap();
        let skipped = later.lines().filter(|line| line.starts_with("skipped ")).count();
        assert_eq!(skipped, 11, "{}", report.output);
        report.expect("counts", "skipped", "the database is not open");
    }
}

/// Without its log, the file of a service that runs has old rows.
#[tokio::test]
async fn database_that_a_service_opens_meanwhile_is_inspected_again() {
    let folder = folder_with_posts().await;
    let database = folder.path().join("data/posts.db");
    let mut inspector = SqliteInspector::open(&database).unwrap().unwrap();
    let service = Service::start_in(folder.path(), &[]);
    let account = json!({"email": "bob@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let now = || SystemClock.now();
    let findings = inspector.inspect(Inspection { is_full: false, now: &now }).await;
    let (_, hashes) = findings.iter().find(|(check, _)| *check == "password-hashes").unwrap();
    assert!(hashes.detail.starts_with("2 of 2 "), "{findings:?}");
    assert_eq!(findings.len(), SqliteInspector::CHECKS.len());
}

/// SQLite would overwrite the backup with the pages of the newer state.
#[tokio::test]
async fn log_of_another_state_is_reported() {
    let folder = folder_with_posts().await;
    let database = folder.path().join("data/posts.db");
    let backup = std::fs::read(&database).unwrap();
    for number in 0..2 {
        let mut service = Service::start_in(folder.path(), &[]);
        let account = json!({"email": format!("{number}@example.com"), "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        if number == 0 {
            service.terminate();
            service.wait();
        } else {
            service.kill();
        }
    }
    doctor(folder.path(), "", &[]).expect_healthy();
    std::fs::write(&database, backup).unwrap();
    let report = doctor(folder.path(), "", &[]);
    report.expect("database", "FAIL", "belongs to another state");
}
