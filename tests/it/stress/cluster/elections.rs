//! Watches which node is the primary.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::http::request;
use super::patroni::{NODES, wait_until};

/// How long a node may take to answer, and the pause between two requests.
const TIMEOUT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Elections {
    shared: Arc<Shared>,
    watchers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// When a node was first seen as the primary, after it was not.
    seen: Mutex<Vec<Instant>>,
}

impl Elections {
    pub(super) fn watch(rest_ports: [u16; NODES]) -> Self {
        let shared = Arc::new(Shared::default());
        let watchers = rest_ports.map(|port| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.watch(port))
        });
        Self { shared, watchers: watchers.into() }
    }

    /// Waits for a primary that was elected, or was started again, after this time.
    pub(super) fn wait_after(&self, begin: Instant) -> Instant {
        let first = || {
            let seen = self.shared.seen.lock().unwrap();
            seen.iter().copied().filter(|time| *time > begin).min()
        };
        wait_until("a primary is elected", || first().is_some());
        first().unwrap()
    }
}

impl Shared {
    fn watch(&self, port: u16) {
        let mut was_primary = false;
        while !self.is_over.load(Ordering::SeqCst) {
            let answer = request(port, "GET", "/primary", "", TIMEOUT);
            let is_primary = answer.is_ok_and(|(status, _)| status == 200);
            if is_primary && !was_primary {
                self.seen.lock().unwrap().push(Instant::now());
            }
            was_primary = is_primary;
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Elections {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for watcher in self.watchers.drain(..) {
            let _ = watcher.join();
        }
    }
}
