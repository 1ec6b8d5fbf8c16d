//! The backups that the service makes by itself: `BACKUP_DIR`.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::Service;

/// Waits until the log has the text. Ends with the service.
fn wait_for(service: &mut Service, text: &str) {
    while !service.stderr().contains(text) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn backup_is_made_at_the_start_and_the_oldest_ones_are_removed() {
    let folder = TempDir::new().unwrap();
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    for name in [
        "posts-20200101T000000Z.db",
        "posts-20200101T000000Z.db.sha256",
        "posts-20200102T000000Z.db",
        "posts-20200103T000000Z.db.partial",
        "of-another.db",
    ] {
        std::fs::write(backups.join(name), "").unwrap();
    }
    let settings = [("BACKUP_DIR", "backups"), ("BACKUP_KEEP", "2")];
    let mut service = Service::start_in(folder.path(), &settings);
    wait_for(&mut service, "backup written");
    service.terminate();
    service.wait();
    let found = names(&backups);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[..2], ["of-another.db", "posts-20200102T000000Z.db"]);
    assert_eq!(found[3], format!("{}.sha256", found[2]));
    let copy = Connection::open(backups.join(&found[2])).unwrap();
    copy.query_row("SELECT count(*) FROM posts", [], |_| Ok(())).unwrap();

    // The next one is due in a day, also after a restart.
    drop(Service::start_in(folder.path(), &settings));
    assert_eq!(names(&backups), found);
}

#[test]
fn failed_backup_is_logged_with_its_cure_and_the_service_continues() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("backups"), "a file").unwrap();
    let mut service = Service::start_in(folder.path(), &[("BACKUP_DIR", "backups")]);
    wait_for(&mut service, "backup failed");
    let log = service.stderr();
    assert!(log.contains("could not create the folder backups"), "{log}");
    assert!(log.contains("free space of BACKUP_DIR"), "{log}");
    service.get("/readyz").expect(200);
}
