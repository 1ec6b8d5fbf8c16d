//! Crashes, lost connections and full disks during writes, in many rounds on the same database.
//! The database has every acknowledged write. It has every other write whole or not at all.
//!
//! Each client keeps a ledger of its responses. After a request with no response or a 503, the
//! ledger reads from the database whether the write was done.

mod backup;
mod clock;
mod crash;
mod deletion;
mod disk;
mod failover;
mod keyed;
mod ledger;
mod network;
mod proxy;
mod restart;
mod stop;
mod stored_rows;
mod streams;

use std::sync::mpsc;
use std::time::Duration;

use self::ledger::Ledger;
use self::stored_rows::StoredRows;
use super::budget::Budget;
use super::rng::Rng;
use crate::support::Service;

/// Signs the tokens of every round.
const KEY: &str = "9b1de7c24f5a68037cd2e1f4a6b8093d";

/// Lets every client write. After this number of acknowledgements it calls `end`, which stops the
/// service, its database or the network.
fn run_round(address: &str, ledgers: &mut [Ledger], acknowledgements: u64, end: impl FnOnce()) {
    let posts: Vec<i64> = ledgers.iter().flat_map(Ledger::posts).collect();
    let (acknowledged, received) = mpsc::channel();
    std::thread::scope(|scope| {
        for ledger in ledgers {
            let (posts, acknowledged) = (&posts, acknowledged.clone());
            scope.spawn(move || ledger.write_until_disconnected(address, posts, &acknowledged));
        }
        drop(acknowledged);
        for _ in 0..acknowledgements {
            received.recv_timeout(Duration::from_mins(1)).expect("no acknowledgement in time");
        }
        end();
    });
}

fn ledgers(clients: usize, rng: &mut Rng) -> Vec<Ledger> {
    (0..clients).map(|number| Ledger::new(number, Rng::new(rng.next()))).collect()
}

/// Compares the database with each ledger and with the responses of the service.
fn reconcile(ledgers: &mut [Ledger], stored: &dyn StoredRows, service: &Service, seed: &str) {
    stored.check(seed);
    for ledger in ledgers.iter_mut() {
        ledger.reconcile(stored, seed);
        ledger.compare_response(service, seed);
    }
    let accounts: usize = ledgers.iter().map(Ledger::accounts).sum();
    let found = stored.rows("SELECT email, '' FROM users WHERE email NOT LIKE 'newcomer%'");
    assert_eq!(found.len(), accounts, "{seed}: accounts without a sign-up: {found:?}");
}

fn report(budget: &Budget, ledgers: &[Ledger]) {
    let writes: usize = ledgers.iter().map(Ledger::writes).sum();
    assert!(writes > 0, "no write was acknowledged");
    budget.report("rounds", budget.rounds());
    budget.report("writes acknowledged, none lost", writes);
    let (done, undone) = ledgers
        .iter()
        .map(Ledger::unanswered)
        .fold((0, 0), |sum, unanswered| (sum.0 + unanswered.0, sum.1 + unanswered.1));
    budget.report("writes without a response, done whole", done);
    budget.report("writes without a response, not done at all", undone);
}

/// Waits up to a minute for the condition.
#[track_caller]
fn wait_until(condition: &str, mut is_met: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_met() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("timeout: {condition}");
}
