//! A disk that fills up again and again: a file system in memory, with a file that leaves little
//! space. Writes are rejected and reads succeed. Writes succeed as soon as there is space, without
//! a restart.
//!
//! The file system is mounted in the service's own namespace (`unshare`). It is invisible to other
//! processes and disappears with the service.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::ledger::Ledger;
use super::stored_rows::SqliteFile;
use super::{ledgers, reconcile, report, run_round};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{PASSWORD, Service};

fn start_on_own_file_system(folder: &TempDir) -> Service {
    const SCRIPT: &str = r#"mount -t tmpfs -o size=64M none "$0" && cd "$0" && exec "$1" --port 0"#;
    let service = Service::command(folder.path());
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .arg(folder.path())
        .arg(service.get_program())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    for (name, value) in service.get_envs() {
        command.env(name, value.unwrap());
    }
    Service::run(&mut command, folder.path())
}

/// Fills the file system and leaves this many bytes.
fn fill(ballast: &Path, free_bytes: u64) {
    let mut file = OpenOptions::new().create(true).append(true).open(ballast).unwrap();
    while file.write_all(&[0; 16 * 1024]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.checked_sub(free_bytes).unwrap()).unwrap();
}

/// Copies the database, which is not written at that time.
fn copy(data: &Path) -> (TempDir, SqliteFile) {
    let copy = TempDir::new().unwrap();
    for name in ["posts.db", "posts.db-wal"] {
        std::fs::copy(data.join(name), copy.path().join(name)).unwrap();
    }
    let file = SqliteFile::open(&copy.path().join("posts.db"));
    (copy, file)
}

/// Rounds on one file system. Each may checkpoint its whole log into the database, some 5 MiB.
const ROUNDS: usize = 8;

#[test]
fn acknowledged_writes_survive_a_full_disk() {
    let mut budget = Budget::new("full disk, embedded", 2);
    let mut rng = Rng::new(budget.seed());
    let mut all = Vec::new();
    loop {
        let mut ledgers = ledgers(4, &mut rng);
        let is_over = run_rounds(&mut ledgers, &mut budget, &mut rng);
        all.append(&mut ledgers);
        if is_over {
            break;
        }
    }
    report(&budget, &all);
}

/// Runs the rounds of one service, and returns whether they were the last.
fn run_rounds(ledgers: &mut [Ledger], budget: &mut Budget, rng: &mut Rng) -> bool {
    let folder = TempDir::new().unwrap();
    let service = start_on_own_file_system(&folder);
    let inside = PathBuf::from(format!("/proc/{}/root", service.process_id()));
    let inside = inside.join(folder.path().strip_prefix("/").unwrap());
    let ballast = inside.join("ballast");
    let sign_up = |name: &str| {
        let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap()
    };
    // Later there may be no space for an account.
    sign_up("newcomer").expect(201);
    for _ in 0..ROUNDS {
        if budget.next_round().is_none() {
            return true;
        }
        let seed = budget.name_round();
        fill(&ballast, rng.below(1024 * 1024));
        // Each client writes until a write is rejected.
        run_round(service.address(), ledgers, 0, || {});
        assert_eq!(service.get("/livez").status, 200, "{seed}");
        assert_eq!(service.get("/users/1").status, 200, "{seed}: a read fails");
        let (_copy, stored) = copy(&inside.join("data"));
        reconcile(ledgers, &stored, &service, &seed);
        std::fs::remove_file(&ballast).unwrap();
        let response = sign_up(&format!("newcomer{}", budget.rounds()));
        assert_eq!(response.status, 201, "{seed}: {}", service.stderr());
    }
    false
}
