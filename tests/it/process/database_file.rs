//! The embedded database file at the end of the service and of each command: the file alone has
//! every write. A log that does not belong to the file is refused.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{PASSWORD, Service, Wire};

const FILES: [&str; 3] = ["posts.db", "posts.db-wal", "posts.db-shm"];

struct Author {
    wire: Wire,
    token: String,
}

impl Author {
    fn sign_up(service: &Service, name: &str) -> Self {
        let mut wire = service.connect();
        let email = format!("{name}@example.com");
        let account = json!({"email": email, "password": PASSWORD});
        wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        Self { wire, token: service.log_in(&email) }
    }

    fn write(&mut self, count: usize, content: &str) {
        let post = json!({"title": "title", "content": content});
        for _ in 0..count {
            self.wire.call("POST", "/posts", &self.token, Some(&post)).unwrap().expect(201);
        }
    }
}

fn database(folder: &Path) -> PathBuf {
    folder.join("data/posts.db")
}

/// Returns the files of the database in the folder.
fn files(folder: &Path) -> Vec<&'static str> {
    FILES.into_iter().filter(|name| folder.join("data").join(name).exists()).collect()
}

/// Counts the posts in a copy of the file without its log. The copy must be sound.
fn count_posts_in_file(file: &Path) -> usize {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(file, &copy).unwrap();
    count_posts(&copy)
}

fn count_posts(file: &Path) -> usize {
    let database = Connection::open(file).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let posts: u32 =
        database.query_row("SELECT count(*) FROM posts", [], |row| row.get(0)).unwrap();
    usize::try_from(posts).unwrap()
}

/// Runs the command, and returns its exit code and its errors.
fn run(folder: &Path, arguments: &str) -> (i32, String) {
    let mut command = Service::command(folder);
    command.args(arguments.split_whitespace()).stderr(Stdio::piped());
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// Returns a folder with a database whose posts are in the log, as a crash leaves it.
fn crashed(posts: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    Author::sign_up(&service, "ada").write(posts, "text");
    service.kill();
    assert_eq!(files(folder.path()), FILES);
    folder
}

fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("data")).unwrap();
    for name in files(from) {
        std::fs::copy(from.join("data").join(name), to.join("data").join(name)).unwrap();
    }
}

#[test]
fn clean_stop_leaves_one_complete_file() {
    for (signal, posts) in [("-TERM", 1), ("-INT", 5), ("-TERM", 50)] {
        let folder = TempDir::new().unwrap();
        let mut service = Service::start_in(folder.path(), &[]);
        Author::sign_up(&service, "ada").write(posts, "text");
        service.signal(signal);
        assert_eq!(service.wait().code(), Some(0));
        assert_eq!(files(folder.path()), ["posts.db"], "{signal}: {}", service.final_stderr());
        assert_eq!(count_posts_in_file(&database(folder.path())), posts, "{signal}");
    }
}

/// A request that is in flight at the signal is answered, so its write must be in the file.
#[test]
fn stop_under_load_keeps_every_acknowledged_write_in_the_file() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    let authors: Vec<Author> =
        (0..8).map(|number| Author::sign_up(&service, &format!("author{number}"))).collect();
    let (began, begins) = std::sync::mpsc::channel();
    let acknowledged: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = authors
            .into_iter()
            .map(|mut author| {
                let began = began.clone();
                scope.spawn(move || {
                    let post = json!({"title": "title", "content": "text"});
                    let mut written = 0;
                    while let Ok(response) =
                        author.wire.call("POST", "/posts", &author.token, Some(&post))
                    {
                        if response.status == 201 {
                            written += 1;
                        }
                        let _ = began.send(());
                    }
                    written
                })
            })
            .collect();
        for _ in 0..200 {
            begins.recv_timeout(std::time::Duration::from_mins(1)).unwrap();
        }
        service.terminate();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(service.wait().code(), Some(0));
    assert_eq!(files(folder.path()), ["posts.db"]);
    let stored = count_posts_in_file(&database(folder.path()));
    assert!(stored >= acknowledged, "{stored} of {acknowledged}");
}

#[test]
fn failed_start_leaves_one_complete_file() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let in_use = format!("serve --port {port}");
    for (case, arguments) in [("port", in_use.as_str()), ("keys", "serve --port 0")] {
        let folder = crashed(3);
        if case == "keys" {
            std::fs::write(folder.path().join("data/keys.json"), "no keys").unwrap();
        }
        let (code, error) = run(folder.path(), arguments);
        assert_eq!(code, if case == "port" { 2 } else { 1 }, "{case}: {error}");
        assert_eq!(files(folder.path()), ["posts.db"], "{case}: {error}");
        assert_eq!(count_posts_in_file(&database(folder.path())), 3, "{case}");
    }
}

#[test]
fn each_command_leaves_one_complete_file() {
    let crashed = crashed(3);
    for (arguments, code) in [
        ("db current", 0),
        ("db history", 0),
        ("db check", 0),
        ("db verify", 0),
        ("db upgrade", 0),
        ("db upgrade --dry-run", 0),
        ("db upgrade --sql", 0),
        ("db upgrade nonsense", 2),
        ("db downgrade -1", 0),
        ("db downgrade 1 --sql", 0),
        ("db stamp head", 0),
        ("user sign-out --all", 0),
        ("user sign-out ada@example.com", 0),
        ("user sign-out bob@example.com", 1),
    ] {
        let folder = TempDir::new().unwrap();
        copy_database(crashed.path(), folder.path());
        let outcome = run(folder.path(), arguments);
        assert_eq!(outcome.0, code, "{arguments}: {}", outcome.1);
        assert_eq!(files(folder.path()), ["posts.db"], "{arguments}");
        assert_eq!(count_posts_in_file(&database(folder.path())), 3, "{arguments}");
    }
}

#[test]
fn stop_beside_a_reader_of_another_process_leaves_the_log() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    let mut author = Author::sign_up(&service, "ada");
    author.write(1, "text");
    let reader = Connection::open(database(folder.path())).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM posts").unwrap();
    author.write(2, "text");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    let log = service.final_stderr();
    assert!(log.contains("another process reads the database; the log stays"), "{log}");
    drop(reader);
    assert_eq!(count_posts(&database(folder.path())), 3);
}

/// Restores a backup, but leaves the log of the crashed service in place.
#[test]
fn backup_beside_the_log_of_a_later_state_is_refused_and_kept() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start_in(folder.path(), &[]);
    let mut author = Author::sign_up(&service, "ada");
    author.write(2, "text");
    service.terminate();
    service.wait();
    let backup = std::fs::read(database(folder.path())).unwrap();

    let mut service = Service::start_in(folder.path(), &[]);
    author = Author { wire: service.connect(), token: author.token };
    // More than the log may have before it is copied.
    author.write(40, &"x".repeat(1024 * 1024));
    author.write(3, "text");
    service.kill();
    std::fs::write(database(folder.path()), &backup).unwrap();
    let log = std::fs::read(folder.path().join("data/posts.db-wal")).unwrap();

    for arguments in [
        "serve --port 0",
        "db current",
        "db check",
        "db verify",
        "db upgrade",
        "db downgrade -1",
        "db stamp head",
        "user sign-out --all",
    ] {
        let (code, error) = run(folder.path(), arguments);
        assert_eq!(code, 3, "{arguments}: {error}");
        assert!(error.contains("posts.db-wal belongs to another state of"), "{error}");
        assert_eq!(std::fs::read(database(folder.path())).unwrap(), backup, "{arguments}");
        let kept = std::fs::read(folder.path().join("data/posts.db-wal")).unwrap();
        assert!(kept == log, "{arguments} changed the log");
    }

    for name in ["posts.db-wal", "posts.db-shm"] {
        std::fs::remove_file(folder.path().join("data").join(name)).unwrap();
    }
    let mut service = Service::start_in(folder.path(), &[]);
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    assert_eq!(count_posts_in_file(&database(folder.path())), 2);
}

#[test]
fn database_beside_the_log_of_another_is_refused() {
    let (one, other) = (crashed(1), crashed(2));
    run(one.path(), "db current");
    let log = Path::new("data/posts.db-wal");
    std::fs::copy(other.path().join(log), one.path().join(log)).unwrap();
    let (code, error) = run(one.path(), "serve --port 0");
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("belongs to another state"), "{error}");
}

/// SQLite would remove the log of an empty file, and a new database would take its place.
#[test]
fn log_without_its_database_is_refused_and_kept() {
    let folder = crashed(2);
    let aside = folder.path().join("aside.db");
    std::fs::rename(database(folder.path()), &aside).unwrap();
    for arguments in ["serve --port 0", "db upgrade", "db stamp head"] {
        let (code, error) = run(folder.path(), arguments);
        assert_eq!(code, 3, "{arguments}: {error}");
        assert!(error.contains("posts.db is missing or empty, but its log"), "{error}");
    }
    std::fs::rename(&aside, database(folder.path())).unwrap();
    assert_eq!(run(folder.path(), "db check").0, 0);
    assert_eq!(count_posts_in_file(&database(folder.path())), 2);
}
