//! The listener: its limits and its graceful shutdown. It serves HTTP/1.1, and HTTP/2 with prior
//! knowledge or ALPN. With a certificate both use TLS.

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
/// Not here: the limits of a body, see `api/input/body.rs`; the timeout of a handler, see
/// `middleware.rs`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of connections. The listener closes further connections at once.
    pub connections: usize,
    /// Maximum time from the start of a connection to the end of its first request head. A TLS
    /// handshake before that may take as long again.
    ///
    /// On HTTP/1.1 it is also the maximum time from the end of a response to the end of the next
    /// head. On HTTP/2 `idle_timeout` applies between requests.
    pub head_timeout: Duration,
    /// Maximum time without progress on a connection: no byte is read or written, or the client
    /// reads none of the pending bytes. While a handler runs there is no progress, so this must be
    /// longer than the timeout of a handler.
    pub idle_timeout: Duration,
    /// Maximum size of a request head in bytes.
    pub head_bytes: usize,
    /// Maximum number of header fields of a request.
    pub head_fields: usize,
    /// Maximum number of concurrent requests on an HTTP/2 connection.
    pub streams: u32,
    /// Maximum time that requests in flight may take after the shutdown signal.
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
/// database and the threads of the store need a core too. On two cores, one serving thread achieves
/// 10 % more reads per second than two (docs/benchmarks.md).
#[must_use]
pub fn server_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.saturating_sub(1).max(1)
}

/// Listens on the first address of the host that can be bound. The backlog equals the maximum
/// number of connections. If it is full, the kernel drops a SYN, and the client retries after a
/// second.
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
    // Connections of the previous process in the state TIME_WAIT must not block the port.
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
        // Keep-alive pings stay off: they would look like progress to the idle timeout.
        .max_concurrent_streams(limits.streams)
        // Bytes per stream that hyper has taken from the response and not yet sent.
        .max_send_buf_size(LARGE_RESPONSE_BYTES);
}
