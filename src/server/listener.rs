//! The listener: its limits, and its graceful shutdown. Serves HTTP/1.1 and HTTP/2 with prior
//! knowledge or ALPN; both within TLS if it has a certificate.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tower::service_fn;

use super::acceptor::Acceptor;
use super::middleware::AppService;
use super::tls::Tls;
use crate::api::LARGE_RESPONSE_BYTES;

/// The limits of the listener. The defaults suit a service without a proxy in front.
///
/// Not here: the size of a body and the time to send it, see `api/input/body.rs`; the time of a
/// handler, see `middleware.rs`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time. The listener closes any further one at once.
    pub connections: usize,
    /// From the start of a connection to the end of its first request head. On HTTP/1.1 also from
    /// the end of a response to the end of the next head: the idle timeout between requests. On
    /// HTTP/2 that is `idle_timeout`. A TLS handshake may take as long before it.
    pub head_timeout: Duration,
    /// How long a connection may make no progress: no byte is read or written, or the client takes
    /// none of the bytes that wait for it. A handler makes no progress either, so this must be longer
    /// than the timeout of a handler.
    pub idle_timeout: Duration,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub head_fields: usize,
    /// Requests at the same time on an HTTP/2 connection.
    pub streams: u32,
    /// How long requests in flight may take after the shutdown signal.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head_timeout: Duration::from_secs(15),
            // A handler takes at most 60 seconds, and its response needs the connection.
            idle_timeout: Duration::from_secs(75),
            head_bytes: 64 * 1024,
            head_fields: 100,
            streams: 200,
            drain_timeout: Duration::from_secs(25),
        }
    }
}

/// Returns the default number of serving threads: one fewer than the cores, and at least one. The
/// database and the store's threads need a core too: on two cores, one serving thread answers a tenth
/// more reads than two (docs/benchmarks.md).
#[must_use]
pub fn server_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.saturating_sub(1).max(1)
}

/// Listens on the first address of the host that is free. The backlog is as long as the limit of
/// connections; the kernel drops a SYN beyond it, and the client retries after a second.
///
/// # Errors
/// If the host has no address, or no address can be bound.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let backlog = u32::try_from(Limits::default().connections).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_on(address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the previous process in TIME_WAIT must not block the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}

/// Serves until `shutdown` completes. Then it accepts no new connection, lets the requests in flight
/// finish within the drain timeout, and returns.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    service: AppService,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    let draining = handle.clone();
    tokio::spawn(async move {
        shutdown.await;
        tracing::info!(connections = draining.connection_count(), "draining connections");
        draining.graceful_shutdown(Some(limits.drain_timeout));
    });
    listener.set_nonblocking(true)?;
    let is_secure = tls.is_some();
    let acceptor = Acceptor {
        permits: Arc::new(Semaphore::new(limits.connections)),
        idle_timeout: limits.idle_timeout,
        handshake_timeout: limits.head_timeout,
        tls,
    };
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .first_request_timeout(limits.head_timeout)
        .accept_error_handler(|client, error| {
            tracing::debug!(?client, %error, "connection not accepted");
        })
        .handle(handle);
    configure(&mut server, limits);
    let connect =
        move |peer| std::future::ready(Ok::<_, Infallible>(service.for_peer(peer, is_secure)));
    server.serve(service_fn(connect)).await
}

fn configure<A>(server: &mut axum_server::Server<SocketAddr, A>, limits: Limits) {
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.head_fields);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        // No keep-alive pings: they would hide from the idle timeout that a connection is idle.
        .max_concurrent_streams(limits.streams)
        // Bytes per stream that have left their response and wait for the connection.
        .max_send_buf_size(LARGE_RESPONSE_BYTES);
}
