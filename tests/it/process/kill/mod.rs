//! `kill -9` in the middle of writes, and crashes of PostgreSQL, round after round on the same
//! database. What was acknowledged is there; what was not is there whole or not at all.
//!
//! `KILL_ROUNDS` sets the number of rounds and `KILL_SEED` the choices of the clients; a failure
//! names both.

mod ledger;
mod stored;

use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use self::ledger::{Dice, Ledger};
use self::stored::{File, Stored};
use crate::support::{Cluster, Service};

/// Signs the tokens of every round.
const KEY: &str = "9b1de7c24f5a68037cd2e1f4a6b8093d";

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

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

#[test]
fn what_was_acknowledged_survives_kill_9_and_nothing_is_half_done() {
    let rounds = from_environment("KILL_ROUNDS", 8);
    let start = from_environment("KILL_SEED", u64::from(std::process::id()));
    let folder = TempDir::new().unwrap();
    let mut dice = Dice::new(start);
    let mut ledgers = ledgers(4, &mut dice);
    for round in 1..=rounds {
        let seed = format!("KILL_SEED={start} KILL_ROUNDS={round}");
        let mut service = Service::start_in(folder.path(), &[]);
        run_round(&mut service, &mut ledgers, dice.below(150), Service::kill);
        // The service takes up again what it left, and answers as the file says.
        let service = Service::start_in(folder.path(), &[]);
        let stored = File::open(&folder.path().join("data/posts.db"));
        settle(&mut ledgers, &stored, &service, &seed);
    }
    let writes: usize = ledgers.iter().map(Ledger::writes).sum();
    assert!(writes > 0, "nothing was written");
}

/// In turn PostgreSQL crashes and the service is killed, with 64 clients writing. The server is told
/// not to wait for its log, which would lose what was acknowledged: the service knows better.
#[test]
fn what_was_acknowledged_survives_a_crash_of_postgresql_and_of_the_service() {
    let rounds = from_environment("KILL_ROUNDS", 4);
    let start = from_environment("KILL_SEED", u64::from(std::process::id()));
    let cluster = Cluster::start("synchronous_commit = off\nwal_writer_delay = 10s\n");
    let database = cluster.database();
    let mut dice = Dice::new(start);
    let mut ledgers = ledgers(64, &mut dice);
    let folder = TempDir::new().unwrap();
    let settings = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let mut service = Service::start_in(folder.path(), &settings);
    for round in 1..=rounds {
        let seed = format!("KILL_SEED={start} KILL_ROUNDS={round}");
        let acknowledgements = 64 + dice.below(600);
        if round % 2 == 0 {
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
    let writes: usize = ledgers.iter().map(Ledger::writes).sum();
    assert!(writes > 0, "nothing was written");
}

#[test]
fn a_service_that_is_killed_while_it_starts_can_be_started() {
    let start = from_environment("KILL_SEED", u64::from(std::process::id()));
    let mut dice = Dice::new(start);
    let folder = TempDir::new().unwrap();
    for _ in 0..from_environment("KILL_ROUNDS", 8) {
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
    assert_eq!(service.get("/readyz").status, 200, "KILL_SEED={start}");
    File::open(&folder.path().join("data/posts.db")).check(&format!("KILL_SEED={start}"));
}
