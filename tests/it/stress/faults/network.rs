//! Connections that are slow, closed or silent: between the service and PostgreSQL, and between
//! clients and the service.

use tempfile::TempDir;

use super::proxy::{Condition, Proxy};
use super::stored_rows::{SqliteFile, StoredRows};
use super::{KEY, ledgers, reconcile, report, run_round, wait_until};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, PostgresDatabase, Service};

/// How a round ends.
#[derive(Clone, Copy)]
enum End {
    /// Every connection to the database is reset.
    Cut,
    /// The connections stay open, but transmit nothing.
    Silence,
    /// The service is killed while its connections are slow.
    Kill,
}

/// Waits until PostgreSQL has ended every session of the service.
fn wait_for_last_connection(database: &PostgresDatabase<'_>) {
    const OTHERS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
        AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    wait_until("the sessions have ended", || database.query(OTHERS).is_empty());
}

#[test]
fn acknowledged_writes_survive_a_bad_network_to_postgresql() {
    let mut budget = Budget::new("network to PostgreSQL", 3);
    let cluster = Cluster::start("");
    let database = cluster.database();
    let proxy = Proxy::to_port(cluster.port());
    let url = database.url().replace(&format!("127.0.0.1:{}", cluster.port()), proxy.address());
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(16, &mut rng);
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", url.as_str()), ("SECRET_KEY", KEY)];
    let mut service = Service::start_in(folder.path(), &settings);
    // The short form covers every kind of end too.
    let ends = [End::Cut, End::Kill, End::Silence];
    while budget.next_round().is_some() {
        let round = usize::try_from(budget.rounds()).unwrap();
        let end = if round <= ends.len() { ends[round - 1] } else { *rng.pick(&ends) };
        proxy.set(*rng.pick(&[Condition::Clear, Condition::Delayed, Condition::Sliced]));
        let address = service.address().to_owned();
        run_round(&address, &mut ledgers, 16 + rng.below(300), || match end {
            End::Cut => proxy.cut(),
            End::Silence => proxy.set(Condition::Stalled),
            End::Kill => service.kill(),
        });
        proxy.cut();
        wait_for_last_connection(&database);
        proxy.set(Condition::Clear);
        if matches!(end, End::Kill) {
            service = Service::start_in(folder.path(), &settings);
        }
        wait_until("the service is ready", || service.get("/readyz").status == 200);
        reconcile(&mut ledgers, &database, &service, &budget.name_round());
    }
    report(&budget, &ledgers);
}

#[test]
fn acknowledged_writes_survive_disconnected_clients_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("data/posts.db");
    disconnect_clients(Budget::new("network to clients, embedded", 2), &folder, &[], || {
        Box::new(SqliteFile::open(&file))
    });
}

#[test]
fn acknowledged_writes_survive_disconnected_clients_on_postgresql() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    disconnect_clients(
        Budget::new("network to clients, PostgreSQL", 2),
        &folder,
        &settings,
        || Box::new(cluster.existing_database(database.name())),
    );
}

/// The clients do not know whether their last requests were done. The service does them whole or
/// not at all. After its shutdown no request is in flight.
fn disconnect_clients<'a>(
    mut budget: Budget,
    folder: &TempDir,
    settings: &[(&str, &str)],
    stored: impl Fn() -> Box<dyn StoredRows + 'a>,
) {
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(16, &mut rng);
    while budget.next_round().is_some() {
        let mut service = Service::start_in(folder.path(), settings);
        let port = service.address().rsplit_once(':').unwrap().1.parse().unwrap();
        let proxy = Proxy::to_port(port);
        proxy.set(*rng.pick(&[Condition::Clear, Condition::Delayed, Condition::Sliced]));
        let acknowledgements = 16 + rng.below(300);
        run_round(proxy.address(), &mut ledgers, acknowledgements, || proxy.cut());
        service.terminate();
        assert!(service.wait().success(), "{}", service.final_stderr());
        let service = Service::start_in(folder.path(), settings);
        reconcile(&mut ledgers, stored().as_ref(), &service, &budget.name_round());
    }
    report(&budget, &ledgers);
}
