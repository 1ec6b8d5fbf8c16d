//! `post-api export` and `post-api import`: a database moves from one store to another.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Outcome, folder, open, run, run_with};
use crate::support::{Cluster, PASSWORD, Service, create_sqlite_file};

/// Names, texts and times of every kind, deleted IDs, and an account that is being deleted.
const ROWS: &str = "
    INSERT INTO users (id, email, password, created_at, tokens_valid_from, name, disabled_at, email_verified_at) VALUES
        (2, 'ada@example.com', '$argon2id$v=19$m=8,t=1,p=1$a$b', 1700000000123456, -1700000000000000, 'Ada', NULL, NULL),
        (3, 'bob@example.com', 'x', 0, 1700000001000001, NULL, 1700000002000003, 1700000003000004),
        (5, 'closed@example.com', 'x', 0, 0, NULL, NULL, NULL),
        (9, 'ümlaut@exämple.com', 'x', 1, 0, '\u{1f600} \"\\', NULL, NULL);
    INSERT INTO posts (id, owner_id, title, content, published, created_at) VALUES
        (1, 2, 'one', 'line\nline', 1, 1700000000000001), (4, 3, '', '\u{1f600}\\\"', 0, 0),
        (6, 5, 'of the closed account', '', 1, 0), (8, 9, 'last', 'a', 1, 1);
    INSERT INTO votes (post_id, user_id, dir) VALUES
        (1, 3, 1), (1, 9, -1), (8, 2, 1), (1, 5, 1), (6, 2, 1);
    INSERT INTO account_deletions VALUES (5);
    DELETE FROM users WHERE id = 9 AND FALSE;
    UPDATE sqlite_sequence SET seq = 40 WHERE name = 'users';
    UPDATE sqlite_sequence SET seq = 50 WHERE name = 'posts'";

async fn empty_folder() -> TempDir {
    let folder = folder();
    create_sqlite_file(&folder.path().join("data/posts.db")).await;
    folder
}

async fn folder_with_rows() -> TempDir {
    let folder = empty_folder().await;
    open(folder.path()).execute_batch(ROWS).unwrap();
    folder
}

fn lines(export: &str) -> Vec<Value> {
    export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The end has the checksum of the header, which differs.
fn body(export: &str) -> String {
    let lines: Vec<&str> = export.lines().collect();
    lines[1..lines.len() - 1].join("\n")
}

fn counts(export: &str) -> Value {
    let mut end = lines(export).pop().unwrap();
    end["end"].as_object_mut().unwrap().remove("sha256");
    end
}

fn users(folder: &Path) -> i64 {
    let database: Connection = open(folder);
    database.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn move_to_postgresql_and_back_keeps_every_byte() {
    let (source, back) = (folder_with_rows().await, empty_folder().await);
    let postgres = Cluster::shared().database();
    let environment = [("DATABASE_URL", postgres.url())];
    let first = run(source.path(), "export").expect(0).output;
    let found = lines(&first);
    assert_eq!(found[0]["store"], "sqlite");
    assert_eq!(
        found[1],
        json!({"user": {"id": 2, "email": "ada@example.com",
            "password": "$argon2id$v=19$m=8,t=1,p=1$a$b", "name": "Ada",
            "created_at": "2023-11-14T22:13:20.123456Z", "tokens_valid_from": -1_700_000_000_000_000_i64, "disabled_at": null}})
    );
    assert_eq!(found[2]["user"]["email_verified_at"], "2023-11-14T22:13:23.000004Z");
    assert_eq!(
        found[4],
        json!({"post": {"id": 1, "owner_id": 2, "title": "one", "content": "line\nline",
            "published": true, "created_at": "2023-11-14T22:13:20.000001Z"}})
    );
    assert_eq!(found[7], json!({"vote": {"post_id": 1, "user_id": 3, "dir": 1}}));
    assert_eq!(found[10], json!({"next": {"users": 41, "posts": 51}}));
    assert_eq!(counts(&first), json!({"end": {"users": 3, "posts": 3, "votes": 3}}));
    assert!(!first.contains("closed"));

    std::fs::write(source.path().join("first"), &first).unwrap();
    let imported = run_with(source.path(), "import first --keep-tokens", &environment).expect(0);
    assert!(imported.output.starts_with("imported 3 users, 3 posts, 3 votes\n"));
    let second = run_with(source.path(), "export", &environment).expect(0).output;
    assert_eq!(lines(&second)[0]["store"], "postgresql");
    assert_eq!(body(&second), body(&first));
    run_with(source.path(), "db verify", &environment).expect(0);

    std::fs::write(back.path().join("second"), &second).unwrap();
    run(back.path(), "import second --keep-tokens").expect(0);
    let third = run(back.path(), "export").expect(0).output;
    assert_eq!(body(&third), body(&first));
    run(back.path(), "db verify").expect(0);
    // The database is not empty any more.
    for environment in [&environment[..], &[]] {
        let refused = run_with(back.path(), "import second", environment).expect(1);
        assert!(refused.error.contains("the database is not empty"), "{}", refused.error);
    }
}

/// A reader of changes begins again, instead of reading every imported row.
#[tokio::test]
async fn import_begins_an_epoch_with_an_empty_log() {
    let (source, embedded) = (folder_with_rows().await, empty_folder().await);
    let export = source.path().join("all.jsonl");
    run(source.path(), &format!("export --output {}", export.display())).expect(0);
    let import = format!("import {} --keep-tokens", export.display());
    let log = "SELECT epoch || ' ' || (SELECT count(*) FROM post_changes) FROM change_log";

    let read = || -> String { open(embedded.path()).query_row(log, [], |row| row.get(0)).unwrap() };
    open(embedded.path()).execute_batch("UPDATE change_log SET until = 9000000000000000").unwrap();
    let before = read();
    run(embedded.path(), &import).expect(0);
    assert!(read() != before && read().ends_with(" 0"), "{before}, {}", read());

    let postgres = Cluster::shared().database();
    postgres.execute("SELECT setval('change_until_seq', 9000000000)");
    let before = postgres.query(log);
    run_with(source.path(), &import, &[("DATABASE_URL", postgres.url())]).expect(0);
    let after = postgres.query(log);
    assert!(after != before && after[0].ends_with(" 0"), "{before:?}, {after:?}");
}

#[tokio::test]
async fn export_of_one_account_has_its_rows_without_its_hash() {
    let source = folder_with_rows().await;
    let postgres = Cluster::shared().database();
    let environment = [("DATABASE_URL", postgres.url())];
    run(source.path(), "export --output all.jsonl").expect(0);
    run_with(source.path(), "import all.jsonl", &environment).expect(0);
    for environment in [&environment[..], &[]] {
        let command = "export --user ada@EXAMPLE.com";
        let export = run_with(source.path(), command, environment).expect(0).output;
        let found = lines(&export);
        assert_eq!(
            found[1]["user"],
            json!({"id": 2, "email": "ada@example.com", "name": "Ada",
                "created_at": "2023-11-14T22:13:20.123456Z", "disabled_at": null})
        );
        assert_eq!(counts(&export), json!({"end": {"users": 1, "posts": 1, "votes": 1}}));
        for unknown in ["eve@example.com", "closed@example.com"] {
            let command = format!("export --user {unknown}");
            let refused = run_with(source.path(), &command, environment).expect(1);
            assert_eq!(refused.error, format!("no account has the e-mail {unknown}\n"));
        }
        std::fs::write(source.path().join("ada.jsonl"), export).unwrap();
    }
    let empty = empty_folder().await;
    let file = source.path().join("ada.jsonl");
    let refused = run(empty.path(), &format!("import {}", file.display())).expect(1);
    assert!(refused.error.contains("line 2: has no password"), "{}", refused.error);
}

#[tokio::test]
async fn export_file_is_private_and_new() {
    let source = folder_with_rows().await;
    let outcome = run(source.path(), "export --output all.jsonl").expect(0);
    assert_eq!(outcome.output, "wrote all.jsonl: 3 users, 3 posts, 3 votes\n");
    let path = source.path().join("all.jsonl");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    let refused = run(source.path(), "export --output all.jsonl").expect(2);
    assert!(refused.error.contains("could not create all.jsonl"), "{}", refused.error);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    run(source.path(), "export --output part.jsonl --user eve@example.com").expect(1);
    assert!(!source.path().join("part.jsonl").exists());
}

#[tokio::test]
async fn export_to_a_terminal_is_refused() {
    let source = folder_with_rows().await;
    let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&main).unwrap();
    unlockpt(&main).unwrap();
    let name = ptsname(&main, Vec::new()).unwrap();
    let terminal = std::fs::OpenOptions::new().write(true).open(name.to_str().unwrap()).unwrap();
    let output = Service::command(source.path())
        .arg("export")
        .stdout(Stdio::from(terminal))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("redirect it, or give --output FILE")
    );
}

/// A row that only the database refuses: its content is not printed, and no row stays.
#[tokio::test]
async fn refused_row_leaves_the_database_empty() {
    let source = folder_with_rows().await;
    let export = run(source.path(), "export").expect(0).output;
    let postgres = Cluster::shared().database();
    let environment = [("DATABASE_URL", postgres.url())];
    let empty = empty_folder().await;
    for (from, to) in [
        ("\"email\":\"bob@example.com\"", "\"email\":\"ada@example.com\""),
        ("\"owner_id\":3", "\"owner_id\":7"),
        ("\"post_id\":8,\"user_id\":2", "\"post_id\":9,\"user_id\":2"),
    ] {
        assert!(export.contains(from), "{from}");
        std::fs::write(empty.path().join("bad"), export.replace(from, to)).unwrap();
        for environment in [&environment[..], &[]] {
            let refused = run_with(empty.path(), "import bad", environment).expect(1);
            assert!(refused.error.contains("the database refused the row"), "{}", refused.error);
            assert!(refused.error.contains("nothing was imported"), "{}", refused.error);
            assert!(!refused.error.contains("ada@"), "{}", refused.error);
        }
    }
    assert_eq!(users(empty.path()), 0);
    std::fs::write(empty.path().join("good"), export).unwrap();
    for environment in [&environment[..], &[]] {
        run_with(empty.path(), "import good", environment).expect(0);
    }
}

fn me(service: &Service, token: &str) -> u16 {
    let response = service.connect().call("GET", "/users/me", token, None).unwrap();
    response.status.as_u16()
}

/// Tokens from before the move stay valid only if the operator says so.
#[tokio::test]
async fn old_tokens_are_valid_after_a_move_only_with_keep_tokens() {
    const SECRET: (&str, &str) = ("SECRET_KEY", "7c1f0a94e2b85d36f7a1c05e9d42b83a");
    let source = empty_folder().await;
    let service = Service::start_in(source.path(), &[SECRET]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    run(source.path(), "export --output all.jsonl").expect(0);
    drop(service);
    let postgres = [Cluster::shared().database(), Cluster::shared().database()];
    let sqlite = [empty_folder().await, empty_folder().await];
    for (number, (flag, status)) in [("--keep-tokens", 200), ("", 401)].into_iter().enumerate() {
        for url in [
            postgres[number].url(),
            &format!("sqlite:{}/data/posts.db", sqlite[number].path().display()),
        ] {
            let environment = [("DATABASE_URL", url), SECRET];
            let imported: Outcome =
                run_with(source.path(), &format!("import all.jsonl {flag}"), &environment);
            imported.expect(0);
            let service = Service::start_in(source.path(), &environment);
            assert_eq!(me(&service, &token), status, "{flag} {url}");
            assert_eq!(me(&service, &service.log_in("ada@example.com")), 200);
            // The next account gets an ID that was never given.
            let account = json!({"email": "bob@example.com", "password": PASSWORD});
            let created = service.connect().call("POST", "/users", "", Some(&account)).unwrap();
            assert_eq!(created.expect(201).json()["id"], 2);
        }
    }
}

/// A short export is written at its end, a long one meanwhile.
#[tokio::test]
async fn reader_that_leaves_ends_the_export_quietly() {
    let folder = folder_with_rows().await;
    for sql in ["", "UPDATE posts SET content = hex(zeroblob(1000000)) WHERE id = 1"] {
        open(folder.path()).execute_batch(sql).unwrap();
        let mut child = Service::command(folder.path())
            .arg("export")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success(), "{}", output.status);
    }
}
