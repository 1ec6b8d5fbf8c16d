//! Restarts on a socket that a service manager keeps open: every connection gets its response.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::stress::budget::Budget;
use crate::support::{Service, Wire, activated};

/// Clients that open one connection after the other.
const CLIENTS: usize = 2;

/// Time from a connection to its request, as across a network.
const PAUSE: Duration = Duration::from_millis(2);

struct Clients {
    address: SocketAddr,
    answered: AtomicUsize,
    are_done: AtomicBool,
}

impl Clients {
    /// Opens a connection for each request, as a client that does not know of the restart.
    fn send_requests(&self) {
        while !self.are_done.load(Ordering::Relaxed) {
            let mut wire = Wire::connect(self.address);
            std::thread::sleep(PAUSE);
            let response = wire.call("GET", "/livez", "", None);
            response.expect("a response to every connection").expect(200);
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until this process has answered some requests.
    fn wait_for_responses(&self) {
        let wanted = self.answered.load(Ordering::Relaxed) + 2 * CLIENTS;
        let end = Instant::now() + Duration::from_mins(1);
        while self.answered.load(Ordering::Relaxed) < wanted {
            // A client that has failed reports its failure when the scope ends.
            if self.are_done.load(Ordering::Relaxed) || Instant::now() > end {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Ends the clients also if the test fails.
struct EndOnDrop<'a>(&'a Clients);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.are_done.store(true, Ordering::Relaxed);
    }
}

fn start(folder: &Path, listener: &TcpListener) -> Service {
    let socket = listener.try_clone().unwrap();
    Service::run(&mut activated(folder, socket, 1), folder)
}

#[test]
fn every_connection_is_answered_over_restarts() {
    let mut budget = Budget::new("restarts on a passed socket, embedded", 12);
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let clients = Clients {
        address: listener.local_addr().unwrap(),
        answered: AtomicUsize::new(0),
        are_done: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    // If a client fails, the others and the restarts end too.
                    let _end = EndOnDrop(&clients);
                    clients.send_requests();
                })
            })
            .collect();
        let end = EndOnDrop(&clients);
        while !clients.are_done.load(Ordering::Relaxed) && budget.next_round().is_some() {
            let mut service = start(folder.path(), &listener);
            clients.wait_for_responses();
            service.terminate();
            assert!(service.wait().success(), "{}", budget.name_round());
        }
        // Answers the requests that are in flight when the clients end.
        let _last = start(folder.path(), &listener);
        drop(end);
        for thread in threads {
            thread.join().expect("every connection gets its response");
        }
    });
    budget.report("restarts", budget.rounds());
    budget.report("connections, each answered", clients.answered.into_inner());
}
