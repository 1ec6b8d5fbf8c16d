//! Watches which node is the primary.

use std::path::{Path, PathBuf};
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
    /// Watches nodes, each with the port of its Patroni and the file that describes its PostgreSQL.
    pub(super) fn watch(nodes: [(u16, PathBuf); NODES]) -> Self {
        let shared = Arc::new(Shared::default());
        let watchers = nodes.map(|(port, file)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.watch(port, &file))
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
    fn watch(&self, port: u16, file: &Path) {
        let mut before = None;
        while !self.is_over.load(Ordering::SeqCst) {
            let answer = request(port, "GET", "/primary", "", TIMEOUT);
            let is_primary = answer.is_ok_and(|(status, _)| status == 200);
            // Patroni calls a node the primary also while it starts PostgreSQL again.
            let server = is_primary.then(|| find_server(file)).flatten();
            if server.is_some() && server != before {
                self.seen.lock().unwrap().push(Instant::now());
            }
            before = server;
            std::thread::sleep(PAUSE);
        }
    }
}

/// Returns the process of a server that accepts connections, from its `postmaster.pid`.
fn find_server(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let is_ready = text.lines().nth(7).is_some_and(|status| status.starts_with("ready"));
    is_ready.then(|| text.lines().next().map(str::to_owned)).flatten()
}

impl Drop for Elections {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for watcher in self.watchers.drain(..) {
            let _ = watcher.join();
        }
    }
}
