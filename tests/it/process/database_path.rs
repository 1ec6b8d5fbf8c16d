//! Paths that cannot be those of an embedded database: the error names the path, the cause and the
//! cure, and no command changes or opens what is there.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::Service;

const COMMANDS: [&str; 5] =
    ["serve --port 0", "db upgrade", "db check", "db stamp head", "user sign-out --all"];

fn outcome(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn run(folder: &Path, arguments: &str) -> (i32, String) {
    outcome(Service::command(folder).args(arguments.split_whitespace()))
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn path_that_is_no_database_is_refused_by_every_command() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = "this is no database, and long enough to be none ".repeat(100);
    std::fs::write(path("text"), &text).unwrap();
    std::fs::write(path("short"), "SQLite").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    make_pipe(&path("pipe"));
    symlink("nowhere", path("link")).unwrap();
    symlink("link", path("loop")).unwrap();
    std::fs::write(path("log"), "").unwrap();
    make_pipe(&path("log-wal"));
    std::fs::write(path("undo"), "").unwrap();
    make_pipe(&path("undo-journal"));
    std::fs::write(path("index"), "").unwrap();
    std::fs::create_dir(path("index-shm")).unwrap();
    for (name, problem) in [
        ("text", "text is not an SQLite database"),
        ("short", "short is not an SQLite database"),
        ("folder", "folder is a folder"),
        ("pipe", "pipe is a named pipe"),
        ("/dev/null", "/dev/null is not a regular file"),
        ("link", "link is a link to a file that does not exist"),
        ("loop", "loop is a link to a file that does not exist"),
        ("log", "log-wal is a named pipe"),
        ("undo", "undo-journal is a named pipe"),
        ("index", "index-shm is a folder"),
        ("text/posts.db", "text/posts.db-wal cannot be accessed: Not a directory (os error 20)"),
    ] {
        for command in COMMANDS {
            let (code, error) =
                run(folder.path(), &format!("{command} --database-url sqlite:{name}"));
            let expected = format!(
                "error: {problem}; name another file in DATABASE_URL, or another folder in DATA_DIR"
            );
            assert!(code == 2 && error.starts_with(&expected), "{command}: {code} {error}");
        }
    }
    assert_eq!(std::fs::read_to_string(path("text")).unwrap(), text);
    assert!(!path("nowhere").exists());
}

#[test]
fn missing_folder_is_named_by_commands_that_create_a_database() {
    let folder = TempDir::new().unwrap();
    for command in ["serve --port 0", "db upgrade", "db stamp head"] {
        let (code, error) =
            run(folder.path(), &format!("{command} --database-url sqlite:no/such/posts.db"));
        assert_eq!(code, 2, "{command}: {error}");
        let expected = "error: no/such/posts.db cannot be created, because its folder does not \
                        exist; create the folder, or name another file";
        assert!(error.starts_with(expected), "{command}: {error}");
    }
    assert!(!folder.path().join("no").exists());
}

/// Mode 0500 stands for a folder that root owns: the service may look, but not create.
#[test]
fn folder_without_the_right_to_create_is_refused_with_the_user() {
    for (mode, problem) in [
        (0o500, "./data/posts.db cannot be created: Permission denied (os error 13)"),
        (0o600, "./data/posts.db-wal cannot be accessed: Permission denied (os error 13)"),
    ] {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::set_permissions(&data, PermissionsExt::from_mode(mode)).unwrap();
        for command in ["serve --port 0", "db upgrade"] {
            let script = format!(r#"exec "$0" {command}"#);
            let mut command = Service::command_without_privileges(folder.path(), &script);
            let (code, error) = outcome(&mut command);
            assert_eq!(code, 2, "{error}");
            assert!(error.starts_with(&format!("error: {problem}; give the user")), "{error}");
            let cure = "access to the file and its folder, or name another file in DATABASE_URL, \
                        or another folder in DATA_DIR\n";
            assert!(error.ends_with(cure), "{error}");
        }
    }
}

#[test]
fn file_that_cannot_be_read_is_refused_with_the_user() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("posts.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let script = r#"exec "$0" db check --database-url sqlite:posts.db"#;
    let (code, error) = outcome(&mut Service::command_without_privileges(folder.path(), script));
    assert_eq!(code, 2, "{error}");
    let expected = "error: posts.db cannot be read: Permission denied (os error 13); give the user";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn database_of_another_program_is_named_with_its_objects() {
    let folder = TempDir::new().unwrap();
    let database = Connection::open(folder.path().join("foreign.db")).unwrap();
    database.execute_batch("CREATE TABLE users (login TEXT); CREATE TABLE posts (x)").unwrap();
    for command in ["serve --port 0", "db upgrade", "db upgrade --dry-run"] {
        let (code, error) =
            run(folder.path(), &format!("{command} --database-url sqlite:foreign.db"));
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("\n  foreign.db: table users: is not of this service"), "{error}");
        assert!(error.contains("an SQLite file of its own in DATABASE_URL"), "{error}");
        assert!(!error.contains("CREATE TABLE"), "{error}");
    }
    let tables: i64 =
        database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 2);
}

/// The files begin like a database, so only SQLite finds the faults.
#[test]
fn damaged_database_is_named_with_the_cause_and_the_cure() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged.db");
    let (code, error) = run(folder.path(), "db upgrade --database-url sqlite:damaged.db");
    assert_eq!(code, 0, "{error}");
    let whole = std::fs::read(&path).unwrap();
    let mut foreign = b"SQLite format 3\0".to_vec();
    foreign.extend([0xff; 8192]);
    for bytes in [&foreign, &whole[..4096], &whole[..whole.len() / 2]] {
        std::fs::write(&path, bytes).unwrap();
        for command in COMMANDS.into_iter().chain(["user list", "export"]) {
            let (code, error) =
                run(folder.path(), &format!("{command} --database-url sqlite:damaged.db"));
            assert_eq!(code, 1, "{command}: {error}");
            let expected =
                "the database file is damaged; restore a backup with `post-api restore`: ";
            assert!(error.contains(expected), "{command}: {error}");
            assert!(error.contains("could not open damaged.db: "), "{command}: {error}");
            assert_eq!(error.lines().count(), 1, "{command}: {error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
