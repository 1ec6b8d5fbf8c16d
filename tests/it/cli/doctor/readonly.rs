//! The command changes nothing, and works while the service runs.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::json;

use super::doctor;
use crate::cli::backup::folder_with_posts;
use crate::support::{Cluster, PASSWORD, Service};

/// Returns the content and the metadata of each file below the folder, without `ctime`. If root opens
/// the log, SQLite sets the owner of its index. This changes `ctime` even if the owner is the same.
fn snapshot(folder: &Path) -> BTreeMap<String, (Vec<u8>, [i64; 4])> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            let state = [
                metadata.mtime(),
                metadata.mtime_nsec(),
                i64::from(metadata.mode()),
                metadata.ino().cast_signed(),
            ];
            found.insert(path.display().to_string(), (bytes, state));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[track_caller]
fn assert_unchanged(folder: &Path) {
    let before = snapshot(folder);
    for arguments in ["", "--full", "--json"] {
        let mut command = Service::command(folder);
        command.arg("doctor").args(arguments.split_whitespace()).env("PORT", "0");
        command.output().unwrap();
        let after = snapshot(folder);
        let names = |files: &BTreeMap<String, _>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after), "{arguments}");
        for (name, file) in &before {
            assert!(after[name] == *file, "{arguments}: {name} was changed");
        }
    }
}

#[tokio::test]
async fn files_of_a_stopped_service_stay_as_they_are() {
    let folder = folder_with_posts().await;
    let mut service = Service::start_in(folder.path(), &[]);
    service.terminate();
    assert!(service.wait().success());
    assert!(!folder.path().join("data/posts.db-wal").exists());
    assert_unchanged(folder.path());
    doctor(folder.path(), "", &[]).expect_healthy();
    // The command creates no folder either.
    let empty = tempfile::TempDir::new().unwrap();
    assert_unchanged(empty.path());
}

/// The log has the newest writes, and belongs to no process.
#[tokio::test]
async fn files_of_a_killed_service_stay_as_they_are() {
    let folder = folder_with_posts().await;
    let mut service = Service::start_in(folder.path(), &[]);
    let account = json!({"email": "bob@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    service.kill();
    assert!(folder.path().join("data/posts.db-wal").exists());
    assert_unchanged(folder.path());
    let report = doctor(folder.path(), "--full", &[]);
    report.expect_healthy().expect("password-hashes", "ok", "2 of 2 sampled");
    Service::start_in(folder.path(), &[]).log_in("bob@example.com");
}

#[test]
fn service_that_runs_is_healthy_and_keeps_working() {
    let service = Service::start(&[]);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    let new_post = json!({"title": "one", "content": "text"});
    for arguments in ["", "--full"] {
        for _ in 0..3 {
            let created =
                service.connect().call("POST", "/posts", &token, Some(&new_post)).unwrap();
            let id = created.expect(201).json()["id"].clone();
            let vote = json!({"post_id": id, "dir": 1});
            service.connect().call("POST", "/vote", &token, Some(&vote)).unwrap().expect(201);
        }
        let report = doctor(service.path(), arguments, &[("PORT", port)]);
        report.expect_healthy().expect("port", "ok", "the service is ready");
    }
    let report = doctor(service.path(), "", &[]);
    report.expect("counts", "ok", "the counts of 6 sampled posts match");
    let log = service.stderr();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

/// The role may only read, and the database has the same content afterwards.
#[test]
fn role_that_may_only_read_suffices_for_all_other_checks() {
    let database = Cluster::shared().database();
    let name = database.name();
    let reader = format!("reader_of_{name}");
    database.execute(&format!(
        "INSERT INTO users (email, password) VALUES ('ada@example.com', '$argon2id$x');
         INSERT INTO posts (title, content, owner_id) VALUES ('one', 'text', 1);
         INSERT INTO votes (post_id, user_id) VALUES (1, 1);
         CREATE ROLE {reader} LOGIN;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}"
    ));
    let before = database.dump();
    let url = database.url().replace("tester@", &format!("{reader}@"));
    let settings =
        [("DATABASE_URL", url.as_str()), ("SECRET_KEY", "f3b8a1d27c5e94f0863b7d1e2a5c9f40")];
    let folder = tempfile::TempDir::new().unwrap();
    for arguments in ["", "--full"] {
        let report = doctor(folder.path(), arguments, &settings);
        report.expect("rights", "FAIL", "the role lacks INSERT on users, UPDATE on users");
        let failed = report.lines.iter().filter(|line| line.status == "FAIL").count();
        assert_eq!(failed, 1, "{}", report.output);
    }
    assert_eq!(database.dump(), before);
    database.execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}"));
}
