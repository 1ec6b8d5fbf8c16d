//! `kill -9` during writes, and crashes of PostgreSQL.

use std::time::Duration;

use tempfile::TempDir;

use super::stored_rows::{SqliteFile, StoredRows as _};
use super::{KEY, ledgers, reconcile, report, run_round};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, Service};

#[test]
fn acknowledged_writes_survive_kill_9() {
    let mut budget = Budget::new("kill -9, embedded", 4);
    let folder = TempDir::new().unwrap();
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(4, &mut rng);
    while budget.next_round().is_some() {
        let seed = budget.name_round();
        let mut service = Service::start_in(folder.path(), &[]);
        let address = service.address().to_owned();
        run_round(&address, &mut ledgers, rng.below(150), || service.kill());
        // The service recovers its database, and its responses match the file.
        let service = Service::start_in(folder.path(), &[]);
        let stored = SqliteFile::open(&folder.path().join("data/posts.db"));
        reconcile(&mut ledgers, &stored, &service, &seed);
    }
    report(&budget, &ledgers);
}

/// PostgreSQL crashes and the service is killed in turn, with clients that write. The server is
/// configured with `synchronous_commit = off`, which would lose acknowledged writes. The service
/// overrides it.
#[test]
fn acknowledged_writes_survive_crashes_of_postgresql_and_service() {
    let mut budget = Budget::new("crash and kill -9, PostgreSQL", 2);
    let cluster = Cluster::start("synchronous_commit = off\nwal_writer_delay = 10s\n");
    let database = cluster.database();
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(budget.size(16, 64), &mut rng);
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let mut service = Service::start_in(folder.path(), &settings);
    while budget.next_round().is_some() {
        let seed = budget.name_round();
        let acknowledgements = 64 + rng.below(600);
        let address = service.address().to_owned();
        if budget.rounds().is_multiple_of(2) {
            run_round(&address, &mut ledgers, acknowledgements, || service.kill());
            service = Service::start_in(folder.path(), &settings);
        } else {
            run_round(&address, &mut ledgers, acknowledgements, || cluster.stop("immediate"));
            assert_eq!(service.get("/livez").status, 200, "{seed}");
            assert_eq!(service.get("/readyz").status, 503, "{seed}");
            cluster.start_server();
        }
        reconcile(&mut ledgers, &database, &service, &seed);
    }
    report(&budget, &ledgers);
}

#[test]
fn service_killed_during_startup_can_start_again() {
    let mut budget = Budget::new("kill -9 at startup, embedded", 4);
    let mut rng = Rng::new(budget.seed());
    let folder = TempDir::new().unwrap();
    while budget.next_round().is_some() {
        let mut child = Service::command(folder.path())
            .args(["--port", "0"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The random moment of the kill is what is tested.
        std::thread::sleep(Duration::from_micros(rng.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let service = Service::start_in(folder.path(), &[]);
    let seed = budget.name_round();
    assert_eq!(service.get("/readyz").status, 200, "{seed}");
    SqliteFile::open(&folder.path().join("data/posts.db")).check(&seed);
    budget.report("rounds", budget.rounds());
}
