//! Files with secrets or data that others can access, or that are not regular files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::{Certificate, Service};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns the warnings of the start about files and folders.
fn exposures(service: &Service) -> Vec<String> {
    let log = service.stderr();
    let lines = log.lines().filter(|line| line.contains("everyone on this machine can "));
    lines.map(str::to_owned).collect()
}

#[test]
fn exposed_database_is_warned_about_with_its_log_and_index() {
    let folder = TempDir::new().unwrap();
    drop(Service::start_in(folder.path(), &[]));
    let path = folder.path().join("data/posts.db");
    for (mode, is_warned) in [(0o600, false), (0o660, false), (0o644, true), (0o602, true)] {
        for name in ["posts.db-wal", "posts.db-shm"] {
            let _ = std::fs::remove_file(path.with_file_name(name));
        }
        set_mode(&path, mode);
        let service = Service::start_in(folder.path(), &[]);
        let warnings = exposures(&service);
        assert_eq!(warnings.len(), if is_warned { 3 } else { 0 }, "{mode:o}: {warnings:?}");
        for (warning, name) in warnings.iter().zip(["posts.db", "posts.db-wal", "posts.db-shm"]) {
            let expected = format!("./data/{name}: everyone on this machine can access it");
            assert!(warning.contains(&expected), "{warning}");
            assert!(warning.contains("name=\"DATA_DIR\""), "{warning}");
            assert!(warning.contains("make its mode 0600"), "{warning}");
        }
    }
}

#[test]
fn data_folder_that_everyone_can_write_to_is_warned_about() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (mode, is_warned) in [(0o700, false), (0o755, false), (0o770, false), (0o777, true)] {
        set_mode(&data, mode);
        let service = Service::start_in(folder.path(), &[]);
        let warnings = exposures(&service);
        assert_eq!(warnings.len(), usize::from(is_warned), "{mode:o}: {warnings:?}");
        for warning in warnings {
            assert!(
                warning.contains("./data: everyone on this machine can write to it"),
                "{warning}"
            );
        }
    }
}

#[test]
fn exposed_env_file_is_warned_about_if_it_has_a_secret() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(".env");
    for (text, mode, is_warned) in [
        (format!("SECRET_KEY={KEY}\n"), 0o600, false),
        (format!("SECRET_KEY={KEY}\n"), 0o644, true),
        (format!("DATABASE_PASSWORD={KEY}\nDATABASE_URL=sqlite:posts.db\n"), 0o644, true),
        ("DOCS=off\n".to_owned(), 0o644, false),
        ("SECRET_KEY=\n".to_owned(), 0o644, false),
    ] {
        std::fs::write(&path, &text).unwrap();
        set_mode(&path, mode);
        let service = Service::start_in(folder.path(), &[]);
        let warnings = exposures(&service);
        assert_eq!(warnings.len(), usize::from(is_warned), "{text} {mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains(".env: everyone")), "{warnings:?}");
        assert!(!service.stderr().contains(KEY));
    }
}

/// A named pipe without a process that writes would make the start wait forever.
#[test]
fn secret_that_is_a_pipe_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    Certificate::generate().write(folder.path());
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for (name, environment, code, problem) in [
        ("data/keys.json", vec![], 1, "keys.json could not be read: not a regular file"),
        ("data/secret_key", vec![], 1, "secret_key could not be read: not a regular file"),
        ("key", vec![("SECRET_KEY_FILE", "key")], 2, "SECRET_KEY: key cannot be read: no process"),
        (
            "url",
            vec![("DATABASE_URL_FILE", "url")],
            2,
            "DATABASE_URL: url cannot be read: no process",
        ),
        (
            "tls",
            vec![("TLS_CERT", "certificate.pem"), ("TLS_KEY", "tls")],
            2,
            "tls cannot be read: not a regular file",
        ),
    ] {
        let path = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let Output { status, stderr, .. } = Service::command(folder.path())
            .args(["serve", "--port", "0"])
            .envs(environment)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{name}: {error}");
        assert!(error.contains(problem), "{name}: {error}");
        std::fs::remove_file(path).unwrap();
    }
}
