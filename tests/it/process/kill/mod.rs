//! `kill -9` in the middle of writes, round after round on the same folder. What was
//! acknowledged is there; what was not is there whole or not at all.
//!
//! `KILL_ROUNDS` sets the number of rounds and `KILL_SEED` the choices of the clients; a failure
//! names both.

mod ledger;

use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use self::ledger::{Dice, Ledger};
use crate::support::Service;

const CLIENTS: usize = 4;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Lets every client write until the service is killed, which it is right after a number of
/// acknowledgements that the dice say.
fn run_round(folder: &TempDir, ledgers: &mut [Ledger], dice: &mut Dice) {
    let mut service = Service::start_in(folder.path(), &[]);
    let address = service.address().to_owned();
    let posts: Vec<i64> = ledgers.iter().flat_map(Ledger::posts).collect();
    let (acknowledged, acknowledgements) = mpsc::channel();
    std::thread::scope(|scope| {
        for ledger in ledgers {
            let (address, posts, acknowledged) = (&address, &posts, acknowledged.clone());
            scope.spawn(move || ledger.write_until_cut_off(address, posts, &acknowledged));
        }
        drop(acknowledged);
        for _ in 0..dice.below(150) {
            acknowledgements.recv_timeout(Duration::from_mins(1)).expect("the clients stand still");
        }
        service.kill();
    });
}

fn column<T: rusqlite::types::FromSql>(database: &Connection, sql: &str) -> Vec<T> {
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What holds for every database of ours, whoever wrote.
fn check_database(database: &Connection, seed: &str) {
    let check: Vec<String> = column(database, "PRAGMA integrity_check");
    assert_eq!(check, ["ok"], "{seed}");
    assert!(!database.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap(), "{seed}");
    let twice = "SELECT 1 FROM votes GROUP BY post_id, user_id HAVING count(*) > 1";
    assert!(!database.prepare(twice).unwrap().exists([]).unwrap(), "{seed}");
    let wrong: Vec<i64> = column(
        database,
        "SELECT id FROM posts
          WHERE coalesce((SELECT votes FROM vote_counts WHERE post_id = id), 0)
             <> coalesce((SELECT sum(dir) FROM votes WHERE post_id = id), 0)",
    );
    assert_eq!(wrong, Vec::<i64>::new(), "{seed}: posts whose count is wrong");
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_nothing_is_half_done() {
    let rounds = from_environment("KILL_ROUNDS", 8);
    let start = from_environment("KILL_SEED", u64::from(std::process::id()));
    let folder = TempDir::new().unwrap();
    let mut dice = Dice::new(start);
    let mut ledgers: Vec<Ledger> =
        (0..CLIENTS).map(|number| Ledger::new(number, Dice::new(dice.next()))).collect();
    for round in 1..=rounds {
        let seed = format!("KILL_SEED={start} KILL_ROUNDS={round}");
        run_round(&folder, &mut ledgers, &mut dice);
        // The service takes up again what it left, and answers as the file says.
        let service = Service::start_in(folder.path(), &[]);
        let database = Connection::open(folder.path().join("data/posts.db")).unwrap();
        check_database(&database, &seed);
        for ledger in &mut ledgers {
            ledger.settle(&database, &seed);
            ledger.compare_answers(&service, &seed);
        }
        let accounts: usize = ledgers.iter().map(Ledger::accounts).sum();
        let found: Vec<String> = column(&database, "SELECT email FROM users");
        assert_eq!(found.len(), accounts, "{seed}: accounts that nobody made: {found:?}");
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
    let database = Connection::open(folder.path().join("data/posts.db")).unwrap();
    check_database(&database, &format!("KILL_SEED={start}"));
}
