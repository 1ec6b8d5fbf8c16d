//! Crashes, cuts and full disks in the middle of writes, round after round on the same database. What
//! was acknowledged is there; what was not is there whole or not at all.
//!
//! Each client keeps a ledger of what it was told. A request that got no answer, or a 503, is neither
//! done nor failed: what became of it is read from the database, and has to be one of the two.

mod clock;
mod crash;
mod disk;
mod failover;
mod ledger;
mod network;
mod proxy;
mod stored_rows;

use std::sync::mpsc;
use std::time::Duration;

use self::ledger::Ledger;
use self::stored_rows::StoredRows;
use super::budget::Budget;
use super::rng::Rng;
use crate::support::Service;

/// Signs the tokens of every round.
const KEY: &str = "9b1de7c24f5a68037cd2e1f4a6b8093d";

/// Lets every client write until the service or its database is ended, which happens right after a
/// number of acknowledgements that the rng say.
fn run_round(address: &str, ledgers: &mut [Ledger], acknowledgements: u64, end: impl FnOnce()) {
    let posts: Vec<i64> = ledgers.iter().flat_map(Ledger::posts).collect();
    let (acknowledged, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        for ledger in ledgers {
            let (posts, acknowledged) = (&posts, acknowledged.clone());
            scope.spawn(move || ledger.write_until_cut_off(address, posts, &acknowledged));
        }
        drop(acknowledged);
        for _ in 0..acknowledgements {
            heard.recv_timeout(Duration::from_mins(1)).expect("the clients stand still");
        }
        end();
    });
}

fn ledgers(clients: usize, rng: &mut Rng) -> Vec<Ledger> {
    (0..clients).map(|number| Ledger::new(number, Rng::new(rng.next()))).collect()
}

/// Holds what is stored against what each client was told, and against what the service answers.
fn reconcile(ledgers: &mut [Ledger], stored: &dyn StoredRows, service: &Service, seed: &str) {
    stored.check(seed);
    for ledger in ledgers.iter_mut() {
        ledger.reconcile(stored, seed);
        ledger.compare_response(service, seed);
    }
    let accounts: usize = ledgers.iter().map(Ledger::accounts).sum();
    let found = stored.rows("SELECT email, '' FROM users WHERE email NOT LIKE 'newcomer%'");
    assert_eq!(found.len(), accounts, "{seed}: accounts that nobody made: {found:?}");
}

fn report(budget: &Budget, ledgers: &[Ledger]) {
    let writes: usize = ledgers.iter().map(Ledger::writes).sum();
    assert!(writes > 0, "nothing was written");
    budget.report("rounds", budget.rounds());
    budget.report("writes acknowledged, none lost", writes);
    let (done, undone) = ledgers
        .iter()
        .map(Ledger::unanswered)
        .fold((0, 0), |sum, unanswered| (sum.0 + unanswered.0, sum.1 + unanswered.1));
    budget.report("writes without an answer, done whole", done);
    budget.report("writes without an answer, not done at all", undone);
}

/// Waits for what must come.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it does not come that {what}");
}
