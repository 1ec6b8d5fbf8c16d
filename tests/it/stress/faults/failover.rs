//! A primary crashes and its synchronous standby takes over, again and again. The service has the
//! addresses of both and must find the primary.

use tempfile::TempDir;

use super::proxy::{Condition, Proxy};
use super::{KEY, ledgers, reconcile, report, run_round, wait_until};
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Cluster, Service};

/// Makes commits wait for a standby.
const SYNCHRONOUS: &str = "ALTER SYSTEM SET synchronous_standby_names = '*'";

#[test]
fn acknowledged_writes_survive_failover_to_synchronous_standby() {
    let mut budget = Budget::new("failover to a synchronous standby", 1);
    let mut rng = Rng::new(budget.seed());
    let mut ledgers = ledgers(16, &mut rng);
    let folder = TempDir::new().unwrap();
    let mut primary = Cluster::start("wal_level = replica\n");
    let name = primary.database().keep();
    while budget.next_round().is_some() {
        // The standby lags behind, so that a commit that does not wait for it is lost.
        let proxy = Proxy::to_port(primary.port());
        let standby = primary.standby_through(proxy.address());
        primary.execute("postgres", SYNCHRONOUS);
        primary.execute("postgres", "SELECT pg_reload_conf()");
        wait_until("the standby is synchronous", || is_synchronous(&primary));
        let ports = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
        let url = primary.url(&name).replace(&format!("127.0.0.1:{}", primary.port()), &ports);
        let settings = [("DATABASE_URL", url.as_str()), ("SECRET_KEY", KEY)];
        let service = Service::start_in(folder.path(), &settings);
        proxy.set(Condition::Delayed);
        run_round(service.address(), &mut ledgers, 32 + rng.below(400), || {
            primary.stop("immediate");
        });
        standby.promote();
        wait_until("the service uses the standby", || service.get("/readyz").status == 200);
        let stored = standby.existing_database(&name);
        reconcile(&mut ledgers, &stored, &service, &budget.name_round());
        drop(stored);
        primary = standby;
    }
    report(&budget, &ledgers);
}

fn is_synchronous(primary: &Cluster) -> bool {
    let postgres = primary.existing_database("postgres");
    postgres.query("SELECT sync_state FROM pg_stat_replication") == ["sync"]
}
