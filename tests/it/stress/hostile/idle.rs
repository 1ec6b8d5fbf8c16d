//! Thousands of connections that were made and are not used.
//!
//! Not here: more than the service takes, which it closes (`process::limits`).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::MIB;
use super::open_files::raise_bound;
use super::process_watch::ProcessWatch;
use super::well_behaved::WellBehavedClient;
use crate::stress::budget::Budget;
use crate::support::Service;

const CONNECTIONS: [usize; 2] = [2000, 10_000];

/// Files that this process and the service need beside them, other tests included.
const RESERVED_FILES: usize = 4000;

/// Twice what a connection takes.
const KIB_PER_CONNECTION: u64 = 50;

/// On a machine that is busy; each is closed for idling after a quarter of a minute, and made anew.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Makes it, asks for something, and leaves the answer.
fn open_idle(address: &str) -> TcpStream {
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
    let mut budget = Budget::new("open_idle connections", 1);
    let wanted = budget.size(CONNECTIONS[0], CONNECTIONS[1]);
    let possible = raise_bound().saturating_sub(RESERVED_FILES).min(wanted);
    let limit = 64 * MIB + KIB_PER_CONNECTION * u64::try_from(possible).unwrap();
    let service = Service::start(&[]);
    let mut client = WellBehavedClient::sign_up(&service, "client");
    let watch = ProcessWatch::start(&service);
    while budget.next_round().is_some() {
        client.run_during(|progress| {
            let mut connections: Vec<TcpStream> = Vec::new();
            let began = Instant::now();
            // The resident's own is one more.
            while watch.connections() <= possible {
                connections.retain(is_open);
                let missing = possible - connections.len();
                connections.extend((0..missing).map(|_| open_idle(service.address())));
                assert!(
                    began.elapsed() < TIMEOUT,
                    "only {} are held_connections",
                    watch.connections()
                );
            }
            progress.wait_for_responses(100);
        });
        watch.wait_until_connections_are_closed();
        watch.assert_growth_below(limit, &budget.name_round());
    }
    budget.report("at once", possible);
    budget.report("MiB", watch.describe());
    budget.report("answers to others meanwhile", client.describe());
    assert_eq!(possible, wanted, "the bound on open files allows no more");
}
