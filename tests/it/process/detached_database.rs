//! A service whose database file lost its name, or can only be read: it refuses writes and says so,
//! and it never starts on a file that it cannot write.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{PASSWORD, Service};

/// Signs up and returns the status.
fn sign_up(service: &Service, name: &str) -> u16 {
    let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().status.as_u16()
}

#[track_caller]
fn assert_refuses_writes(service: &Service, case: &str) {
    assert_eq!(sign_up(service, "refused"), 503, "{case}");
    let response = service.get("/readyz").expect(503);
    assert_eq!(response.detail(), "not ready: the database is out of reach", "{case}");
    assert_eq!(service.get("/users/1").status, 200, "{case}");
    assert_eq!(service.get("/livez").status, 200, "{case}");
}

/// Moves the files, checks the refusals, moves the files back and checks that all is well.
fn lose_and_restore(case: &str, lose: impl FnOnce(&Path), restore: impl FnOnce(&Path)) {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    assert_eq!(sign_up(&service, "ada"), 201);
    lose(folder.path());
    for _ in 0..3 {
        assert_refuses_writes(&service, case);
    }
    restore(folder.path());
    assert_eq!(service.get("/readyz").status, 200, "{case}");
    assert_eq!(sign_up(&service, "bob"), 201, "{case}");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0), "{case}");
    let log = service.final_stderr();
    assert_eq!(log.matches("writes are refused").count(), 1, "{case}: {log}");
    assert_eq!(log.matches("the database file is back").count(), 1, "{case}: {log}");
    let database = rusqlite::Connection::open(folder.path().join("data/posts.db")).unwrap();
    let users: u32 =
        database.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 2, "{case}");
}

fn rename(from: PathBuf, to: PathBuf) {
    std::fs::rename(from, to).unwrap();
}

#[test]
fn database_in_a_renamed_folder_refuses_writes() {
    lose_and_restore(
        "folder",
        |folder| rename(folder.join("data"), folder.join("elsewhere")),
        |folder| rename(folder.join("elsewhere"), folder.join("data")),
    );
}

#[test]
fn database_with_a_renamed_file_refuses_writes() {
    for name in ["posts.db", "posts.db-wal", "posts.db-shm"] {
        let path = Path::new("data").join(name);
        lose_and_restore(
            name,
            |folder| rename(folder.join(&path), folder.join("aside")),
            |folder| rename(folder.join("aside"), folder.join(&path)),
        );
    }
}

/// As a restore over the running service does.
#[test]
fn database_that_was_replaced_refuses_writes() {
    lose_and_restore(
        "replaced",
        |folder| {
            let path = folder.join("data/posts.db");
            rename(path.clone(), folder.join("aside"));
            std::fs::copy(folder.join("aside"), path).unwrap();
        },
        |folder| rename(folder.join("aside"), folder.join("data/posts.db")),
    );
}

#[test]
fn removed_database_refuses_writes_and_the_stop_keeps_its_successor() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    assert_eq!(sign_up(&service, "ada"), 201);
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    assert_refuses_writes(&service, "removed");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for name in ["posts.db", "posts.db-wal", "posts.db-shm"] {
        std::fs::write(folder.path().join("data").join(name), "another").unwrap();
    }
    assert_refuses_writes(&service, "another in its place");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    for name in ["posts.db", "posts.db-wal", "posts.db-shm"] {
        let content = std::fs::read(folder.path().join("data").join(name)).unwrap();
        assert_eq!(content, b"another", "{name}");
    }
}

/// The log was removed by mistake. The clean stop copies it into the database file.
#[test]
fn stop_without_the_name_of_the_log_keeps_every_write() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    assert_eq!(sign_up(&service, "ada"), 201);
    std::fs::remove_file(folder.path().join("data/posts.db-wal")).unwrap();
    assert_refuses_writes(&service, "log");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    let service = Service::start_in(folder.path(), &[]);
    assert_eq!(sign_up(&service, "ada"), 409);
    assert_eq!(service.get("/readyz").status, 200);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn start_on_files_that_can_only_be_read_is_refused() {
    for (case, names) in [
        ("all", ["posts.db", "posts.db-wal", "posts.db-shm"].as_slice()),
        ("database", &["posts.db"]),
        ("log", &["posts.db-wal"]),
        ("index of the log", &["posts.db-shm"]),
    ] {
        let folder = TempDir::new().unwrap();
        let mut service = Service::start_in(folder.path(), &[]);
        assert_eq!(sign_up(&service, "ada"), 201);
        service.kill();
        for name in names {
            set_mode(&folder.path().join("data").join(name), 0o400);
        }
        let Output { status, stderr, .. } =
            Service::command_without_privileges(folder.path(), r#"exec "$0" serve --port 0"#)
                .stderr(Stdio::piped())
                .output()
                .unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(3), "{case}: {error}");
        assert!(
            error.contains("posts.db cannot be written: give the user of the service"),
            "{case}: {error}"
        );
    }
}

/// An open file stays writable, and so does the service.
#[test]
fn mode_of_an_open_file_does_not_stop_writes() {
    let folder = TempDir::new().unwrap();
    let mut command =
        Service::command_without_privileges(folder.path(), r#"exec "$0" serve --port 0"#);
    let service = Service::run(&mut command, folder.path());
    assert_eq!(sign_up(&service, "ada"), 201);
    set_mode(&folder.path().join("data/posts.db"), 0o400);
    assert_eq!(sign_up(&service, "bob"), 201);
    assert_eq!(service.get("/readyz").status, 200);
}
