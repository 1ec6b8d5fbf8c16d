//! `post-api restore`: a backup takes the place of the embedded database.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use post_api::store::migrate::SchemaAdmin as _;
use post_api::store::sqlite::{RestoreRequest, SqliteAdmin, restore};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::backup::{folder_with_posts, names, run_on_full_disk};
use super::{open, run};
use crate::support::{MAIL_SETTINGS, PASSWORD, Service};

const KEPT: &str = "posts.db.before-restore-";

fn sign_up(service: &Service, email: &str) -> (i64, String) {
    let account = json!({"email": email, "password": PASSWORD});
    let created = service.connect().call("POST", "/users", "", Some(&account)).unwrap();
    (created.expect(201).json()["id"].as_i64().unwrap(), service.log_in(email))
}

fn post(service: &Service, token: &str, title: &str) -> i64 {
    let post = json!({"title": title, "content": "text"});
    let created = service.connect().call("POST", "/posts", token, Some(&post)).unwrap();
    created.expect(201).json()["id"].as_i64().unwrap()
}

fn titles(folder: &Path) -> Vec<String> {
    let database = open(folder);
    let mut select = database.prepare("SELECT title FROM posts ORDER BY id").unwrap();
    let titles = select.query_map([], |row| row.get(0)).unwrap();
    titles.collect::<Result<_, _>>().unwrap()
}

fn kept(folder: &Path) -> Vec<String> {
    let names = names(&folder.join("data"));
    names.into_iter().filter(|name| name.starts_with(KEPT)).collect()
}

/// Every operation that needs a token, with its path.
fn protected_operations(service: &Service) -> Vec<(String, String)> {
    let document = service.get("/openapi.json").expect(200).json();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // An empty requirement means that the operation also works without a token.
            let security = operation.get("security").and_then(Value::as_array);
            if security.is_some_and(|all| !all.is_empty() && !all.contains(&json!({}))) {
                operations.push((method.to_uppercase(), path.replace("{id}", "1")));
            }
        }
    }
    assert!(operations.len() > 10, "{operations:?}");
    operations
}

/// The token of an account that was created after the backup opens no account after the restore, and
/// neither does a token from before.
#[test]
fn tokens_from_before_the_restore_open_nothing() {
    let folder = TempDir::new().unwrap();
    let service = Service::start_in(folder.path(), &[]);
    let (_, ada) = sign_up(&service, "ada@example.com");
    let old_post = post(&service, &ada, "before");
    run(folder.path(), "backup copy.db").expect(0);
    let (eve_id, eve) = sign_up(&service, "eve@example.com");
    post(&service, &eve, "after");
    service.terminate();
    drop(service);

    let outcome = run(folder.path(), "restore copy.db --gap 1000").expect(0);
    let previous = kept(folder.path());
    assert_eq!(previous.len(), 1);
    let newest = run(folder.path(), "db current").expect(0).output;
    assert_eq!(
        outcome.output,
        format!(
            "restored copy.db: 1 users, 1 posts, revision {newest}\
             the database before is ./data/{}: delete it when you no longer need it\n\
             new IDs begin 1000 after those of the backup\n\
             every token and session has ended: everybody must log in again\n",
            previous[0]
        )
    );
    assert_eq!(outcome.error, "");

    let service = Service::start_in(folder.path(), &MAIL_SETTINGS);
    let (mallory_id, mallory) = sign_up(&service, "mallory@example.com");
    assert!(mallory_id > eve_id, "{mallory_id}");
    for token in [&ada, &eve] {
        for (method, path) in protected_operations(&service) {
            let response = service.connect().call(&method, &path, token, None).unwrap();
            assert_eq!(response.status, 401, "{method} {path}");
        }
    }
    assert_eq!(post(&service, &mallory, "new"), old_post + 1001);
    let ada = service.log_in("ada@example.com");
    service.connect().call("GET", "/users/me", &ada, None).unwrap().expect(200);
}

/// The restored database also gets no old ID if the backup is empty, and has new secrets.
#[tokio::test]
async fn restored_database_is_another_installation() {
    let folder = folder_with_posts().await;
    let read = |sql: &str| -> Vec<String> {
        let database = open(folder.path());
        let mut select = database.prepare(sql).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    open(folder.path())
        .execute_batch(
            "INSERT INTO login_failures VALUES (1, 2, 3);
             INSERT INTO idempotency_keys VALUES (7, x'00', x'00', 1, 1, 0, NULL, 0);
             INSERT INTO post_changes (post_id, kind) VALUES (1, 4);
             UPDATE change_log SET until = 9000000000000000;
             INSERT INTO sessions (user_id, tokens_valid_from, family_hash, link_hash, user_agent,
                                   created_at, used_at, expires_at, ends_at)
             VALUES (7, 0, x'00', x'00', '', 0, 0, 0, 0)",
        )
        .unwrap();
    run(folder.path(), "backup copy.db").expect(0);
    let installation = "SELECT hex(key) || tokens_valid_from FROM installation";
    let epoch = "SELECT epoch || ' ' || until FROM change_log";
    let before = [read(installation), read(epoch)].concat();
    run(folder.path(), "restore copy.db").expect(0);
    let after = [read(installation), read(epoch)].concat();
    assert_ne!(before[0][..64], after[0][..64]);
    assert!(before[1].split(' ').next() != after[1].split(' ').next(), "{before:?}");
    assert!(after[1].ends_with(" 0"), "{after:?}");
    assert_eq!(read("SELECT id || '' FROM users WHERE tokens_valid_from > 0"), ["7"]);
    for table in ["sessions", "idempotency_keys", "login_failures", "post_changes"] {
        assert_eq!(read(&format!("SELECT count(*) || '' FROM {table}")), ["0"], "{table}");
    }
    assert_eq!(
        read("SELECT name || seq FROM sqlite_sequence ORDER BY name"),
        ["events1000000", "post_changes1", "posts1000003", "sessions1000001", "users1000007"]
    );
    let ids = "SELECT application_id || ' ' || user_version FROM pragma_application_id, pragma_user_version";
    let copy = Connection::open(folder.path().join("copy.db")).unwrap();
    let of_backup: String = copy.query_row(ids, [], |row| row.get(0)).unwrap();
    assert_ne!(read(ids), [of_backup], "a log of the backup's history would continue the file");
    let mode = folder.path().join("data/posts.db").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    run(folder.path(), "db check").expect(0);
    run(folder.path(), "db verify").expect(0);
}

#[tokio::test]
async fn flipped_byte_is_refused_and_the_database_stays() {
    let folder = folder_with_posts().await;
    run(folder.path(), "backup copy.db").expect(0);
    open(folder.path()).execute_batch("DELETE FROM posts WHERE id = 1").unwrap();
    let before = names(&folder.path().join("data"));
    let path = folder.path().join("copy.db");
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    for position in [0, 24, 99, last / 3, last / 2, last] {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let refused = run(folder.path(), "restore copy.db").expect(1);
        assert_eq!(
            refused.error,
            "error: copy.db has another SHA-256 than copy.db.sha256 says: it was changed or damaged\n",
            "{position}"
        );
        assert_eq!(titles(folder.path()), ["two", "three"]);
        assert_eq!(names(&folder.path().join("data")), before);
    }
    // The checksum covers every byte. These places hit each page of the file several times.
    let database = folder.path().join("data/posts.db");
    for position in (0..bytes.len()).step_by(251) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0x80;
        std::fs::write(&path, flipped).unwrap();
        let (sha256, gap, now) = (None, 0, jiff::Timestamp::UNIX_EPOCH);
        let request = RestoreRequest { database: &database, backup: &path, sha256, gap, now };
        assert!(restore(request).await.is_err(), "{position}");
    }
    assert_eq!(titles(folder.path()), ["two", "three"]);
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(folder.path().join("copy.db.sha256")).unwrap();
    let sum = "0".repeat(64);
    run(folder.path(), &format!("restore copy.db --sha256 {sum}")).expect(1);
    run(folder.path(), "restore copy.db --sha256 0").expect(2);
    let restored = run(folder.path(), "restore copy.db").expect(0);
    assert!(restored.error.starts_with("warning: --sha256: is missing"), "{}", restored.error);
    assert_eq!(titles(folder.path()), ["one", "two", "three"]);
}

/// Without a checksum the verification finds what makes the database unusable.
#[tokio::test]
async fn backup_that_is_no_sound_database_is_refused() {
    let folder = folder_with_posts().await;
    let folder = folder.path();
    let damage = |name: &str, sql: &str| {
        std::fs::copy(folder.join("data/posts.db"), folder.join(name)).unwrap();
        Connection::open(folder.join(name)).unwrap().execute_batch(sql).unwrap();
    };
    damage("counts.db", "UPDATE vote_counts SET votes = 9 WHERE post_id = 1");
    damage("orphans.db", "PRAGMA foreign_keys = off; DELETE FROM users");
    damage("index.db", "DROP INDEX posts_owner");
    damage("page.db", "PRAGMA journal_mode = DELETE");
    let page = OpenOptions::new().write(true).open(folder.join("page.db")).unwrap();
    page.write_all_at(&[0xff; 4096], 4096).unwrap();
    std::fs::write(folder.join("text.db"), "no database").unwrap();
    Connection::open(folder.join("other.db")).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    damage("log.db", "PRAGMA journal_mode = DELETE");
    std::fs::write(folder.join("log.db-wal"), "log").unwrap();
    for (name, code, found) in [
        ("counts.db", 1, "post 1: the count says 9"),
        ("orphans.db", 1, "of posts name a row of users that is not there"),
        ("index.db", 1, "index posts_owner is missing"),
        ("page.db", 1, "page.db is damaged or not consistent"),
        ("text.db", 2, "text.db is not an SQLite database"),
        ("other.db", 1, "it is not a database of this service"),
        ("log.db", 2, "log.db has a log next to it"),
        ("data/posts.db", 2, "is the database itself"),
        ("none.db", 2, "there is no backup none.db"),
        ("-", 2, "name one instead of -"),
    ] {
        let refused = run(folder, &format!("restore {name}")).expect(code);
        assert!(refused.error.contains(found), "{name}: {}", refused.error);
    }
    assert_eq!(titles(folder), ["one", "two", "three"]);
    assert!(!names(&folder.join("data")).iter().any(|name| name.contains("restor")));
}

#[tokio::test]
async fn backup_of_an_older_revision_is_upgraded() {
    let folder = folder_with_posts().await;
    let newest = run(folder.path(), "db current").expect(0).output;
    run(folder.path(), "db downgrade -3").expect(0);
    run(folder.path(), "backup copy.db").expect(0);
    run(folder.path(), "restore copy.db").expect(0);
    assert_eq!(run(folder.path(), "db current").expect(0).output, newest);
    assert_eq!(titles(folder.path()), ["one", "two", "three"]);
}

#[test]
fn restore_beside_a_service_or_another_program_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    run(folder.path(), "backup copy.db").expect(0);
    let refused = run(folder.path(), "restore copy.db").expect(1);
    assert_eq!(
        refused.error,
        "error: ./data/posts.db is in use (a service or a command uses it); stop the service and every \
         program that has it open\n"
    );
    service.get("/readyz").expect(200);
    service.kill();
    // A shell of SQLite takes no lock of ours.
    let shell = open(folder.path());
    shell.execute_batch("SELECT * FROM users").unwrap();
    let refused = run(folder.path(), "restore copy.db").expect(1);
    assert!(refused.error.contains("another program has it open"), "{}", refused.error);
    drop(shell);
    run(folder.path(), "restore copy.db").expect(0);
}

#[tokio::test]
async fn service_does_not_start_during_a_restore() {
    let folder = folder_with_posts().await;
    let lock = std::fs::File::create(folder.path().join("data/posts.db-lock")).unwrap();
    lock.lock().unwrap();
    for command in ["serve --port 0", "db current", "backup copy.db"] {
        let refused = run(folder.path(), command).expect(3);
        assert!(
            refused.error.contains("a restore replaces ./data/posts.db now"),
            "{}",
            refused.error
        );
    }
}

/// A log of the old database must not be replayed into the new one, even if SQLite cannot open the old.
#[tokio::test]
async fn unusable_database_is_kept_with_its_log() {
    let folder = folder_with_posts().await;
    run(folder.path(), "backup copy.db").expect(0);
    let data = folder.path().join("data");
    for (number, file) in ["posts.db", "posts.db-wal", "posts.db-journal"].iter().enumerate() {
        std::fs::write(data.join(file), number.to_string().repeat(5000)).unwrap();
    }
    run(folder.path(), "restore copy.db").expect(0);
    assert_eq!(titles(folder.path()), ["one", "two", "three"]);
    let kept = kept(folder.path());
    let texts: Vec<_> =
        kept.iter().map(|name| std::fs::read(data.join(name)).unwrap()[0]).collect();
    assert_eq!(texts, b"021", "{kept:?}");
    run(folder.path(), "db verify").expect(0);
}

#[tokio::test]
async fn restore_creates_a_missing_database() {
    let folder = folder_with_posts().await;
    run(folder.path(), "backup copy.db").expect(0);
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    run(folder.path(), "restore copy.db").expect(0);
    assert_eq!(titles(folder.path()), ["one", "two", "three"]);
    assert_eq!(kept(folder.path()), [""; 0]);
}

#[tokio::test]
async fn full_disk_leaves_the_old_database() {
    let folder = folder_with_posts().await;
    run(folder.path(), "backup copy.db").expect(0);
    open(folder.path()).execute_batch("DELETE FROM posts WHERE id = 1").unwrap();
    let before = names(&folder.path().join("data"));
    for blocks in [0, 1, 20] {
        run_on_full_disk(folder.path(), "restore copy.db", blocks).expect(1);
        assert_eq!(titles(folder.path()), ["two", "three"], "{blocks}");
        assert_eq!(names(&folder.path().join("data")), before, "{blocks}");
    }
}

/// The calls by which files get and lose their names and reach the disk.
const CALLS: &str =
    "link,linkat,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,ftruncate";

/// A folder whose database has writes that are only in its log, and a backup of the state before.
struct Crashed {
    folder: TempDir,
}

impl Crashed {
    fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let mut service = Service::start_in(folder.path(), &[]);
        let (_, ada) = sign_up(&service, "ada@example.com");
        post(&service, &ada, "before");
        run(folder.path(), "backup copy.db").expect(0);
        post(&service, &ada, "after");
        service.kill();
        Self { folder }
    }

    fn copy(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        std::fs::create_dir(copy.path().join("data")).unwrap();
        let files = ["copy.db", "copy.db.sha256", "data/posts.db", "data/posts.db-wal"];
        for file in files.map(PathBuf::from) {
            std::fs::copy(self.folder.path().join(&file), copy.path().join(&file)).unwrap();
        }
        copy
    }
}

/// Runs a restore that is killed when it makes the call of this number. Returns whether it was killed.
fn is_killed_at(call: u32, folder: &Path) -> bool {
    let restore = Service::command(folder);
    let mut strace = Command::new("strace");
    strace
        .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}"), "-e"])
        .arg(format!("inject={CALLS}:signal=KILL:when={call}"))
        .arg(restore.get_program())
        .args(["restore", "copy.db"])
        .current_dir(folder)
        .stdout(Stdio::null());
    !strace.status().unwrap().success()
}

/// SIGKILL at each of these calls leaves the old database, with the writes of its log, or the new one.
#[tokio::test]
async fn killed_restore_leaves_the_old_or_the_new_database() {
    let crashed = Crashed::make();
    let (mut call, mut states) = (0, Vec::new());
    loop {
        call += 1;
        let folder = crashed.copy();
        let is_killed = is_killed_at(call, folder.path());
        let database = folder.path().join("data/posts.db");
        let mut admin = SqliteAdmin::new(&database);
        assert_eq!(admin.wrong_counts().await.unwrap(), [""; 0], "call {call}");
        drop(admin);
        let found = titles(folder.path());
        let is_old = found == ["before", "after"];
        assert!(is_old || found == ["before"], "call {call}: {found:?}");
        states.push(is_old);
        if !is_killed {
            break;
        }
        if is_old {
            run(folder.path(), "restore copy.db").expect(0);
            assert_eq!(titles(folder.path()), ["before"], "call {call}");
            assert!(
                !names(&folder.path().join("data")).iter().any(|name| name.contains("restoring"))
            );
        }
    }
    assert!(call > 10, "{call}");
    assert!(states.is_sorted_by(|before, after| before >= after), "{states:?}");
    assert!(!states[states.len() - 1]);
}
