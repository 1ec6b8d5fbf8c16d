//! The listener: its limits, and how it ends. Speaks HTTP/1.1 and, to clients that begin with it,
//! HTTP/2; both within TLS if it is given a certificate.

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

use super::admission::Admission;
use super::large_responses::LARGE_RESPONSE_BYTES;
use super::stack::AppService;
use super::tls::Tls;

/// What a client may take of the listener. The defaults are for a service bare on the net.
///
/// What one request may take is not chosen here: the size of its body and the time to send it are
/// bounds of `body`, the time to work on it is one of `stack`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; the next is closed as soon as it is made.
    pub connections: usize,
    /// From the beginning of a connection to the end of its first request's head. On HTTP/1.1 also
    /// from the end of an answer to the end of the next head, and so the longest that a connection
    /// may idle between requests; on HTTP/2 that is `idle_timeout`. Before it, a handshake may take
    /// as long.
    pub head_time: Duration,
    /// How long a connection may stand still: no byte comes or goes, or the client takes nothing
    /// of what waits for it. While a request is worked on nothing moves either, so that this must
    /// be longer than a handler may take.
    pub idle_timeout: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub head_fields: usize,
    /// Requests at once on an HTTP/2 connection.
    pub streams: u32,
    /// How long requests may go on after the service was told to end.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head_time: Duration::from_secs(15),
            // A handler ends within 60 seconds: its answer must still find the connection.
            idle_timeout: Duration::from_secs(75),
            head_bytes: 64 * 1024,
            head_fields: 100,
            streams: 200,
            drain_time: Duration::from_secs(25),
        }
    }
}

/// The threads that serve requests where nobody has said how many: one fewer than there are cores, one
/// at least. What they hand over is worked on elsewhere, by the database or threads of the store's, and
/// with a thread for every core all of them wait for each other: on two cores one thread serves a tenth
/// more reads than two (docs/benchmarks.md).
#[must_use]
pub fn server_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.saturating_sub(1).max(1)
}

/// Listens on the first of the host's addresses that can be had. As many as may be connected at once
/// may also ask to be at the same moment: the kernel drops those beyond, who ask again after a second.
///
/// # Errors
/// If the host has no address, or none of them can be had.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let waiting = u32::try_from(Limits::default().connections).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_on(address, waiting) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(address: SocketAddr, waiting: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The connections of the process before, which the kernel remembers for a minute, do not count.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(waiting)?.into_std()
}

/// Serves, within TLS if there is any, until `end` is done, then takes no new connection, lets the
/// requests under way finish within the drain time, and returns.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    service: AppService,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    let ending = handle.clone();
    tokio::spawn(async move {
        end.await;
        tracing::info!(connections = ending.connection_count(), "draining");
        ending.graceful_shutdown(Some(limits.drain_time));
    });
    listener.set_nonblocking(true)?;
    let is_secure = tls.is_some();
    let admission = Admission {
        places: Arc::new(Semaphore::new(limits.connections)),
        idle_timeout: limits.idle_timeout,
        handshake_time: limits.head_time,
        tls,
    };
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(admission)
        .first_request_timeout(limits.head_time)
        .accept_error_handler(|client, error| {
            tracing::debug!(?client, %error, "a connection was not taken");
        })
        .handle(handle);
    configure(&mut server, limits);
    let connected =
        move |client| std::future::ready(Ok::<_, Infallible>(service.of_peer(client, is_secure)));
    server.serve(service_fn(connected)).await
}

fn configure<A>(server: &mut axum_server::Server<SocketAddr, A>, limits: Limits) {
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.head_fields);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        // No keep-alive pings: they and their answers would keep an idle connection from standing
        // still, and a dead one stands still by itself.
        .max_concurrent_streams(limits.streams)
        // What has left its answer, and waits for the connection.
        .max_send_buf_size(LARGE_RESPONSE_BYTES);
}
