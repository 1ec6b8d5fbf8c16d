//! Thousands of open but idle connections.
//!
//! Not here: more connections than the service accepts, see `process::limits`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::open_files::raise_limit;
use super::process_watch::ProcessWatch;
use super::well_behaved::WellBehavedClient;
use super::{CLIENT_MEMORY, connect_hostile};
use crate::stress::budget::Budget;
use crate::support::Service;

const CONNECTIONS: [usize; 2] = [2000, 10_000];

/// Open files that this process and the service need for other purposes, including other tests.
const RESERVED_FILES: usize = 4000;

/// For a busy machine. The service closes an idle connection after 75 seconds; the test then opens
/// another.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Opens a connection, sends a request and does not read the response.
fn open_idle(number: usize, address: &str) -> TcpStream {
    let mut stream = connect_hostile(number, address.parse().unwrap());
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Returns whether the service has not closed the connection.
fn is_open(mut stream: &TcpStream) -> bool {
    let mut response = [0; 4096];
    loop {
        match stream.read(&mut response) {
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
    let possible = raise_limit().saturating_sub(RESERVED_FILES).min(wanted);
    let service = Service::start(&[]);
    let mut client = WellBehavedClient::sign_up(&service, "client");
    let watch = ProcessWatch::start(&service);
    while budget.next_round().is_some() {
        client.run_during(|progress| {
            let mut connections: Vec<TcpStream> = Vec::new();
            let start = Instant::now();
            // The well-behaved client has one more connection.
            while watch.connections() <= possible {
                for number in 0..possible {
                    match connections.get_mut(number) {
                        Some(connection) if is_open(connection) => {}
                        Some(closed) => *closed = open_idle(number, service.address()),
                        None => connections.push(open_idle(number, service.address())),
                    }
                }
                assert!(
                    start.elapsed() < TIMEOUT,
                    "only {} connections are open",
                    watch.connections()
                );
            }
            progress.wait_for_responses(100);
        });
        watch.wait_until_connections_are_closed();
        watch.assert_growth_below(CLIENT_MEMORY, &budget.name_round());
    }
    budget.report("concurrent connections", possible);
    budget.report("MiB", watch.describe());
    budget.report("responses to others meanwhile", client.describe());
    assert_eq!(possible, wanted, "the limit on open files is too low");
}
