//! Thousands of connections that were made and are not used.
//!
//! Not here: more than the service takes, which it closes (`process::limits`).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::MIB;
use super::open_files::raise_bound;
use super::process_watch::Watch;
use super::well_behaved::Resident;
use crate::stress::budget::Budget;
use crate::support::Service;

const CONNECTIONS: [usize; 2] = [2000, 10_000];

/// Files that this process and the service need beside them, other tests included.
const OTHERS: usize = 4000;

/// Twice what a connection takes.
const EACH: u64 = 50;

/// On a machine that is busy; each is closed for idling after a quarter of a minute, and made anew.
const PATIENCE: Duration = Duration::from_mins(2);

/// Makes it, asks for something, and leaves the answer.
fn idle(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Whether the service has not closed it.
fn is_open(mut stream: &TcpStream) -> bool {
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn idle_connections_do_not_hold_up_others() {
    let mut budget = Budget::new("idle connections", 1);
    let wanted = budget.size(CONNECTIONS[0], CONNECTIONS[1]);
    let possible = raise_bound().saturating_sub(OTHERS).min(wanted);
    let most = 64 * MIB + EACH * u64::try_from(possible).unwrap();
    let service = Service::start(&[]);
    let mut resident = Resident::settle(&service, "resident");
    let watch = Watch::begin(&service);
    while budget.next_round().is_some() {
        resident.live_beside(|beside| {
            let mut connections: Vec<TcpStream> = Vec::new();
            let began = Instant::now();
            // The resident's own is one more.
            while watch.connections() <= possible {
                connections.retain(is_open);
                let missing = possible - connections.len();
                connections.extend((0..missing).map(|_| idle(service.address())));
                assert!(began.elapsed() < PATIENCE, "only {} are held", watch.connections());
            }
            beside.wait_for(100);
        });
        watch.wait_until_all_are_gone();
        watch.assert_growth_below(most, &budget.name_round());
    }
    budget.report("at once", possible);
    budget.report("MiB", watch.describe());
    budget.report("answers to others meanwhile", resident.describe());
    assert_eq!(possible, wanted, "the bound on open files allows no more");
}
