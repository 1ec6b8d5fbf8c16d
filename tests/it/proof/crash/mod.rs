//! `kill -9` in the middle of writes, and crashes of PostgreSQL, round after round on the same
//! database. What was acknowledged is there; what was not is there whole or not at all.

mod ledger;
mod stored;

use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use self::ledger::Ledger;
use self::stored::{File, Stored};
use crate::proof::dice::Dice;
use crate::proof::effort::Effort;
use crate::support::{Cluster, Service};

/// Signs the tokens of every round.
const KEY: &str = "9b1de7c24f5a68037cd2e1f4a6b8093d";

/// Lets every client write until the service or its database is ended, which happens right after a
/// number of acknowledgements that the dice say.
fn run_round(
    service: &mut Service,
    ledgers: &mut [Ledger],
    acknowledgements: u64,
    end: impl FnOnce(&mut Service),
) {
    let address = service.address().to_owned();
    let posts: Vec<i64> = ledgers.iter().flat_map(Ledger::posts).collect();
    let (acknowledged, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        for ledger in ledgers {
            let (address, posts, acknowledged) = (&address, &posts, acknowledged.clone());
            scope.spawn(move || ledger.write_until_cut_off(address, posts, &acknowledged));
        }
        drop(acknowledged);
        for _ in 0..acknowledgements {
            heard.recv_timeout(Duration::from_mins(1)).expect("the clients stand still");
        }
        end(service);
    });
}

fn ledgers(clients: usize, dice: &mut Dice) -> Vec<Ledger> {
    (0..clients).map(|number| Ledger::new(number, Dice::new(dice.next()))).collect()
}

/// Holds what is stored against what each client was told, and against what the service answers.
fn settle(ledgers: &mut [Ledger], stored: &dyn Stored, service: &Service, seed: &str) {
    stored.check(seed);
    for ledger in ledgers.iter_mut() {
        ledger.settle(stored, seed);
        ledger.compare_answers(service, seed);
    }
    let accounts: usize = ledgers.iter().map(Ledger::accounts).sum();
    let found = stored.rows("SELECT email, '' FROM users");
    assert_eq!(found.len(), accounts, "{seed}: accounts that nobody made: {found:?}");
}

fn report(effort: &Effort, ledgers: &[Ledger]) {
    let writes: usize = ledgers.iter().map(Ledger::writes).sum();
    assert!(writes > 0, "nothing was written");
    effort.report("rounds", effort.rounds());
    effort.report("writes acknowledged, none lost", writes);
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_nothing_is_half_done() {
    let mut effort = Effort::new("kill -9, embedded", 8);
    let folder = TempDir::new().unwrap();
    let mut dice = Dice::new(effort.seed());
    let mut ledgers = ledgers(4, &mut dice);
    while effort.next_round().is_some() {
        let seed = effort.name_round();
        let mut service = Service::start_in(folder.path(), &[]);
        run_round(&mut service, &mut ledgers, dice.below(150), Service::kill);
        // The service takes up again what it left, and answers as the file says.
        let service = Service::start_in(folder.path(), &[]);
        let stored = File::open(&folder.path().join("data/posts.db"));
        settle(&mut ledgers, &stored, &service, &seed);
    }
    report(&effort, &ledgers);
}

/// In turn PostgreSQL crashes and the service is killed, with 64 clients writing. The server is told
/// not to wait for its log, which would lose what was acknowledged: the service knows better.
#[test]
fn what_was_acknowledged_survives_a_crash_of_postgresql_and_of_the_service() {
    let mut effort = Effort::new("crash and kill -9, PostgreSQL", 4);
    let cluster = Cluster::start("synchronous_commit = off\nwal_writer_delay = 10s\n");
    let database = cluster.database();
    let mut dice = Dice::new(effort.seed());
    let mut ledgers = ledgers(64, &mut dice);
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let mut service = Service::start_in(folder.path(), &settings);
    while effort.next_round().is_some() {
        let seed = effort.name_round();
        let acknowledgements = 64 + dice.below(600);
        if effort.rounds().is_multiple_of(2) {
            run_round(&mut service, &mut ledgers, acknowledgements, Service::kill);
            service = Service::start_in(folder.path(), &settings);
        } else {
            run_round(&mut service, &mut ledgers, acknowledgements, |_| cluster.stop("immediate"));
            assert_eq!(service.get("/livez").status, 200, "{seed}");
            assert_eq!(service.get("/readyz").status, 503, "{seed}");
            cluster.go();
        }
        settle(&mut ledgers, &database, &service, &seed);
    }
    report(&effort, &ledgers);
}

#[test]
fn a_service_that_is_killed_while_it_starts_can_be_started() {
    let mut effort = Effort::new("kill -9 at the start, embedded", 8);
    let mut dice = Dice::new(effort.seed());
    let folder = TempDir::new().unwrap();
    while effort.next_round().is_some() {
        let mut child = Service::command(folder.path())
            .args(["--port", "0"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The moment is what is tried here, not something that is waited for.
        std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let service = Service::start_in(folder.path(), &[]);
    let seed = effort.name_round();
    assert_eq!(service.get("/readyz").status, 200, "{seed}");
    File::open(&folder.path().join("data/posts.db")).check(&seed);
    effort.report("rounds", effort.rounds());
}
