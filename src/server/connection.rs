//! Serves one connection: HTTP/1.1, or HTTP/2 with prior knowledge or ALPN, with or without TLS. It
//! ends a connection whose time is over, and logs what the HTTP library answers by itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use axum::http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::io::InspectReader;

use super::middleware::{AppService, MAX_HEADER_FIELDS};
use super::request_body::STREAM_WINDOW;
use super::tls::Tls;
use crate::client_limits::{Connection, ConnectionTimeouts};

/// Maximum size of a request head in bytes. For HTTP/2 it is that of the decoded fields, each with
/// 32 bytes more (RFC 9113, 6.5.2).
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Maximum number of concurrent requests on an HTTP/2 connection: the smallest that RFC 9113, 6.5.2
/// recommends.
const MAX_STREAMS: u32 = 100;

/// Maximum size in bytes of what hyper takes from a response and has not yet sent.
const SEND_BUFFER: usize = 64 * 1024;

/// The state of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Requests in progress finish.
    Draining,
    /// Every connection is closed.
    Ended,
}

/// The state that all connections share.
pub(super) struct ConnectionServer {
    service: AppService,
    timeouts: ConnectionTimeouts,
    tls: Option<Arc<Tls>>,
    builder: Builder<TokioExecutor>,
}

impl ConnectionServer {
    pub(super) fn new(
        service: AppService,
        timeouts: ConnectionTimeouts,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        // `ConnectionTimeouts` has the time limits: hyper has none for HTTP/2, and one for both a
        // slow head and an idle connection for HTTP/1.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADER_FIELDS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        Self { service, timeouts, tls, builder }
    }

    /// Counts a connection. `None` if it must be closed.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Arc<Connection>> {
        let config = self.service.config();
        let peer = peer.to_canonical();
        let client = (!config.trusted_proxies.trusts(peer)).then_some(peer);
        config.client_limits.connect(client, self.tls.is_some()).ok()
    }

    pub(super) fn log_accept_error(&self, error: &io::Error) {
        // The client has left before its connection was accepted.
        if error.kind() != io::ErrorKind::ConnectionAborted {
            tracing::debug!(%error, "connection not accepted");
            self.service.config().client_limits.reached("open files", None);
        }
    }

    /// Serves until the connection or its time is over.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        connection: Arc<Connection>,
        mut phases: watch::Receiver<Phase>,
    ) {
        // Without it, small responses wait for the acknowledgements of earlier ones.
        let _ = stream.set_nodelay(true);
        let observed = Arc::clone(&connection);
        let stream = InspectReader::new(stream, move |bytes: &[u8]| {
            if !bytes.is_empty() {
                observed.bytes_arrived();
            }
        });
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, peer, connection, phases).await;
        };
        let mut handshake = pin!(timeout(self.timeouts.head, tls.accept(stream)));
        let handshake = tokio::select! {
            handshake = &mut handshake => handshake,
            _ = phases.changed() => {
                let until = connection.first_head_until(&self.timeouts);
                let Ok(handshake) = timeout_at(until, handshake).await else { return };
                phases.mark_changed();
                handshake
            }
        };
        match handshake.map_err(io::Error::from).flatten() {
            Ok(stream) => {
                connection.restart();
                Box::pin(self.serve_http(stream, peer, connection, phases)).await;
            }
            Err(error) => tracing::debug!(client = %peer.ip(), %error, "TLS handshake failed"),
        }
    }

    async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        connection: Arc<Connection>,
        mut phases: watch::Receiver<Phase>,
    ) {
        let is_secure = self.tls.is_some();
        let service = self.service.for_connection(Arc::clone(&connection), peer, is_secure);
        let mut http = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let mut drains_at = None;
        let mut ends_at = None;
        // A deadline moves to an earlier time when the first byte of a head arrives.
        let tick = self.timeouts.shortest();
        let mut wakes_at = Instant::now() + tick;
        loop {
            tokio::select! {
                biased;
                ended = http.as_mut() => {
                    let answered = ended.err().and_then(|error| library_status(error.as_ref()));
                    if let Some(status) = answered {
                        self.service.log_library_response(peer.ip(), status);
                    }
                    return;
                }
                _ = phases.changed() => {
                    if *phases.borrow_and_update() == Phase::Ended {
                        return;
                    }
                    connection.end_after_response();
                    let until = connection.first_head_until(&self.timeouts);
                    (drains_at, wakes_at) = (Some(until), wakes_at.min(until));
                }
                () = sleep_until(wakes_at) => {
                    let now = Instant::now();
                    // Earlier it would close a connection whose first request is on its way.
                    if drains_at.take_if(|until| *until <= now).is_some() {
                        http.as_mut().graceful_shutdown();
                    }
                    let deadline = connection.deadline(&self.timeouts);
                    if ends_at.is_some_and(|end| now >= end) {
                        return;
                    }
                    if ends_at.is_none() && now >= deadline {
                        if connection.can_close_at_once() {
                            return;
                        }
                        // Other requests of the connection may finish.
                        http.as_mut().graceful_shutdown();
                        ends_at = Some(now + self.timeouts.response / 3);
                    }
                    wakes_at = ends_at.unwrap_or_else(|| deadline.min(now + tick));
                    wakes_at = drains_at.unwrap_or(wakes_at).min(wakes_at);
                }
            }
        }
    }
}

/// Returns the status of the response that the HTTP library itself gave to an unreadable head.
fn library_status(error: &(dyn std::error::Error + 'static)) -> Option<StatusCode> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        error.is_parse().then_some(StatusCode::BAD_REQUEST)
    }
}
