//! Backups while clients write: each has every write that was acknowledged before it began.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

use rusqlite::Connection;
use serde_json::json;

use super::Budget;
use crate::support::{PASSWORD, Service};

const CLIENTS: usize = 4;

/// Ends the clients also if an assertion fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn backup_during_writes_has_every_acknowledged_write() {
    let mut budget = Budget::new("backups during writes", 3);
    let service = Service::start(&[]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    let (acknowledged, is_over) = (AtomicI64::new(0), AtomicBool::new(false));
    let write = || {
        let mut wire = service.connect();
        let post = json!({"title": "title", "content": "content"});
        while !is_over.load(SeqCst) {
            wire.call("POST", "/posts", &token, Some(&post)).unwrap().expect(201);
            acknowledged.fetch_add(1, SeqCst);
        }
    };
    std::thread::scope(|scope| {
        let _end = End(&is_over);
        for _ in 0..CLIENTS {
            scope.spawn(write);
        }
        while budget.next_round().is_some() {
            let expected = acknowledged.load(SeqCst);
            let found = back_up(&service);
            assert!(found >= expected, "{}: {found} of {expected}", budget.name_round());
        }
    });
    budget.report("backups", budget.rounds());
    budget.report("posts", acknowledged.load(SeqCst));
}

/// Makes a backup, which the command verifies, and returns the number of its posts.
fn back_up(service: &Service) -> i64 {
    let mut command: Command = Service::command(service.path());
    let output = command.args(["backup", "--force", "copy.db"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copy = Connection::open(service.path().join("copy.db")).unwrap();
    copy.query_row("SELECT count(*) FROM posts", [], |row| row.get(0)).unwrap()
}
