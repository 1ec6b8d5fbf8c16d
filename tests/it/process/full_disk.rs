//! A full disk, simulated by a limit on the file size of the process. Writes fail in the same
//! places.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{PASSWORD, Service, Wire};

/// The limit in blocks of 512 bytes: enough for the empty database and some posts.
const FILE_SIZE_LIMIT: u32 = 1024;

fn start_with_file_size_limit(folder: &TempDir) -> Service {
    let service = Service::command(folder.path());
    let mut command = Command::new("sh");
    // The trap ignores the signal, so that the write fails as on a full disk.
    command
        .args([
            "-c",
            &format!("trap '' XFSZ; ulimit -S -f {FILE_SIZE_LIMIT}; exec \"$0\" --port 0"),
        ])
        .arg(service.get_program())
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    for (name, value) in service.get_envs() {
        command.env(name, value.unwrap());
    }
    Service::run(&mut command, folder.path())
}

fn limit_file_size(service: &Service, limit: &str) {
    let process = service.process_id().to_string();
    let limit = format!("--fsize={limit}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &process, &limit]).status();
    assert!(status.unwrap().success());
}

/// Readiness writes nothing while writes succeed. After a failed write, it writes.
#[test]
fn readiness_follows_writes_after_a_failed_write() {
    let folder = TempDir::new().unwrap();
    let service = start_with_file_size_limit(&folder);
    let mut wire = service.connect();
    let token = sign_up(&mut wire);
    let post = json!({"title": "small", "content": "text"});
    for _ in 0..2 {
        limit_file_size(&service, "4096");
        wire.call("POST", "/posts", &token, Some(&post)).unwrap().expect(503);
        for _ in 0..2 {
            wire.call("GET", "/readyz", "", None).unwrap().expect(503);
        }
        limit_file_size(&service, "unlimited");
        wire.call("GET", "/readyz", "", None).unwrap().expect(200);
        wire.call("POST", "/posts", &token, Some(&post)).unwrap().expect(201);
    }
}

fn sign_up(wire: &mut Wire) -> String {
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let form = format!("username=ada@example.com&password={}", PASSWORD.replace(' ', "+"));
    let response = wire.exchange(format!(
        "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    ));
    response.expect(200).json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn writes_on_full_disk_get_503_while_reads_succeed() {
    let folder = TempDir::new().unwrap();
    let service = start_with_file_size_limit(&folder);
    let mut wire = service.connect();
    let token = sign_up(&mut wire);
    let post = json!({"title": "large", "content": "x".repeat(50_000)});
    let mut written = 0;
    let refusal = loop {
        let response = wire.call("POST", "/posts", &token, Some(&post)).unwrap();
        if response.status != 201 {
            break response;
        }
        written += 1;
        assert!(written < 100, "the disk never gets full");
    };
    assert!(written > 0);
    assert_eq!(refusal.header("retry-after"), "2");
    assert_eq!(
        refusal.expect(503).detail(),
        "the service is temporarily unavailable, try again later"
    );
    for _ in 0..3 {
        wire.call("POST", "/posts", &token, Some(&post)).unwrap().expect(503);
        let posts = wire.call("GET", "/posts", &token, None).unwrap().expect(200).json();
        assert_eq!(posts.as_array().unwrap().len(), written);
        wire.call("GET", "/livez", "", None).unwrap().expect(200);
    }

    limit_file_size(&service, "unlimited");
    for _ in 0..3 {
        wire.call("POST", "/posts", &token, Some(&post)).unwrap().expect(201);
    }
    wire.call("GET", "/readyz", "", None).unwrap().expect(200);

    let database = rusqlite::Connection::open(folder.path().join("data/posts.db")).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let posts: u32 =
        database.query_row("SELECT count(*) FROM posts", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(posts).unwrap(), written + 3);
}
