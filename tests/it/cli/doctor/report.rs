//! The report as text and as JSON Lines, its documentation, and the secrets that it must not have.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::{MACHINE, doctor};
use crate::cli::backup::folder_with_posts;
use crate::cli::{folder, open};
use crate::support::{Cluster, Service};

const OPERATIONS_PAGE: &str = include_str!("../../../../docs/operations.md");

const KEY: &str = "f3b8a1d27c5e94f0863b7d1e2a5c9f40";

/// Returns the exit code and the objects.
fn doctor_json(folder: &Path, environment: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let mut command = Service::command(folder);
    command.args(["doctor", "--json"]).env("PORT", "0").envs(environment.iter().copied());
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8(output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), objects)
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("{object}"))
}

#[tokio::test]
async fn json_has_the_same_checks_as_the_text() {
    let sound = folder_with_posts().await;
    let damaged = folder_with_posts().await;
    open(damaged.path()).execute_batch("UPDATE vote_counts SET votes = 9").unwrap();
    let empty = folder();
    for (folder, environment) in [
        (&sound, [("HOST", "0.0.0.0")]),
        (&damaged, [("DOCS", "on")]),
        (&empty, [("DOCS", "x")]),
        (&empty, [("DOCS", "on")]),
    ] {
        let report = doctor(folder.path(), "", &environment);
        let (code, objects) = doctor_json(folder.path(), &environment);
        assert_eq!(code, report.code);
        assert_eq!(objects.len(), report.lines.len());
        for (object, line) in objects.iter().zip(&report.lines) {
            let names: Vec<&String> = object.as_object().unwrap().keys().collect();
            assert_eq!(names, ["check", "status", "detail", "cure"]);
            assert_eq!(text(object, "check"), line.check);
            // Other processes write to the disk meanwhile.
            if MACHINE.contains(&line.check.as_str()) {
                continue;
            }
            assert_eq!(text(object, "status"), line.status.to_lowercase());
            let cure = text(object, "cure");
            let cure = if cure.is_empty() { String::new() } else { format!(" | {cure}") };
            assert_eq!(format!("{}{cure}", text(object, "detail")), line.text);
        }
    }
}

/// Returns the names in the first column of the tables below the heading.
fn documented_checks() -> BTreeSet<&'static str> {
    let (_, section) = OPERATIONS_PAGE.split_once("\n## Check an installation\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap()).collect()
}

#[tokio::test]
async fn documentation_lists_every_check() {
    let sqlite = folder_with_posts().await;
    let database = Cluster::shared().database();
    let environment = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let reports = [doctor(sqlite.path(), "", &[]), doctor(sqlite.path(), "", &environment)];
    let checks: BTreeSet<&str> = reports.iter().flat_map(|report| report.checks()).collect();
    assert_eq!(checks, documented_checks());
}

/// Also with faults, and in each form.
#[tokio::test]
async fn report_has_no_secret_hash_or_email() {
    const CANARIES: [&str; 6] = [
        "canary-key",
        "canary-password",
        "canary-mail",
        "canary-hash",
        "canary-name",
        "canary-title",
    ];
    const ROWS: &str = "
        INSERT INTO users (id, email, password, name, created_at)
        VALUES (5, 'canary-mail@example.com', '$2b$12$canary-hash', 'canary-name', NOW),
               (6, 'canary-mail-2@example.com', 'canary-hash', NULL, NOW);
        INSERT INTO posts (owner_id, created_at, title, content)
        VALUES (5, NOW, 'canary-title', ''), (6, NOW, 'canary-title', '');
        INSERT INTO votes (post_id, user_id) VALUES (1, 5);
        UPDATE vote_counts SET votes = 9;";
    let folder = folder_with_posts().await;
    let path = folder.path();
    open(path).execute_batch(&ROWS.replace("NOW", "0")).unwrap();
    open(path).execute_batch("PRAGMA foreign_keys = off; DELETE FROM users WHERE id = 6").unwrap();
    let database = Cluster::shared().database();
    database.execute(&format!("{} DROP INDEX posts_owner", ROWS.replace("NOW", "now()")));
    database.execute("SET session_replication_role = replica; DELETE FROM users WHERE id = 6");
    let key = format!("canary-key-{KEY}");
    let url = database.url().replace("tester@", "tester:canary-password@");
    let unreachable = "postgresql://ada:canary-password@127.0.0.1:1/posts";
    let weak = [("SECRET_KEY", "canary-key"), ("DATABASE_PASSWORD", "canary-password")];
    let mut lines = 0;
    for environment in [
        [("SECRET_KEY", key.as_str()), ("DOCS", "on")],
        [("SECRET_KEY", key.as_str()), ("DATABASE_URL", &url)],
        [("SECRET_KEY", key.as_str()), ("DATABASE_URL", unreachable)],
        weak,
        [("SECRET_KEYS", "canary-key canary-key"), ("DATABASE_URL", "mysql://canary-password")],
    ] {
        for arguments in ["doctor", "doctor --full", "doctor --json --full"] {
            let mut command = Service::command(path);
            command.args(arguments.split(' ')).env("PORT", "0").env("LOG_LEVEL", "trace");
            command.envs(environment).stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = command.output().unwrap();
            let output = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            for canary in CANARIES {
                assert!(!output.contains(canary), "{canary}: {output}");
            }
            lines += output.lines().count();
        }
    }
    assert!(lines > 200, "{lines}");
}
