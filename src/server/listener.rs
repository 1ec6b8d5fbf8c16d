//! The listener: accepts connections within the limits, and shuts down gracefully.
//!
//! Not here: how one connection is served, see `connection.rs`.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::connection::{ConnectionServer, Phase};
use super::middleware::AppService;
use super::tls::Tls;
use crate::client_limits::ConnectionTimeouts;

/// Connections that the kernel queues before they are accepted. If the queue is full, the kernel
/// drops a SYN, and the client retries after a second.
const BACKLOG: u32 = 16_384;

/// Pause after a failed `accept`, which fails again while too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time for a drained connection to end once its time is over.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limits of the listener. The defaults suit a service without a proxy in front.
///
/// Not here: how much clients may use, see `client_limits`; the limits of a body, see
/// `api/input/body.rs`; the timeout of a handler, see `middleware.rs`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub timeouts: ConnectionTimeouts,
    /// Maximum time that requests in progress may take after the shutdown signal.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let timeouts = ConnectionTimeouts {
            head: Duration::from_secs(15),
            keep_alive: Duration::from_secs(75),
            // A handler takes at most 60 seconds, and its client two minutes to read the response.
            response: Duration::from_mins(3),
            first_head_at_shutdown: Duration::from_secs(1),
        };
        Self { timeouts, drain_timeout: Duration::from_secs(25) }
    }
}

/// Returns the default number of serving threads: one fewer than the cores, and at least one. The
/// database and the threads of the store need a core too. On two cores, one serving thread achieves
/// 10 % more reads per second than two (docs/benchmarks.md).
#[must_use]
pub fn server_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.saturating_sub(1).max(1)
}

/// Listens on the first address of the host that can be bound.
///
/// # Errors
/// If the host has no address, or no address can be bound.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the previous process in the state TIME_WAIT must not block the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Serves until `shutdown` completes. Then it accepts no new connection, lets the requests in
/// progress finish within the drain timeout, and returns.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    service: AppService,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (phase, phases) = watch::channel(Phase::Serving);
    let server = Arc::new(ConnectionServer::new(service, limits.timeouts, tls));
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(connection) = server.admit(peer.ip()) {
                    let server = Arc::clone(&server);
                    connections.spawn(server.serve(stream, peer, connection, phases.clone()));
                }
            }
            Err(error) => {
                server.log_accept_error(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, phases));
    tracing::info!(connections = connections.len(), "draining connections");
    phase.send_replace(Phase::Draining);
    connections.close();
    if timeout(limits.drain_timeout, connections.wait()).await.is_err() {
        phase.send_replace(Phase::Ended);
        let _ = timeout(END_TIMEOUT, connections.wait()).await;
    }
    Ok(())
}
