//! Accepts connections up to the limit. Each has an idle timeout and, if configured, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::idle_timeout::IdleTimeoutStream;
use super::tls::Tls;

/// Accepts a connection if a permit is free. The connection keeps the permit from the start of its
/// handshake until it closes, so that unfinished handshakes count too.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) permits: Arc<Semaphore>,
    pub(super) idle_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    pub(super) tls: Option<Arc<Tls>>,
}

/// A connection without TLS (left) or with TLS (right).
type Connection = Either<IdleTimeoutStream, Box<TlsStream<IdleTimeoutStream>>>;

impl Acceptor {
    fn admit(&self, stream: TcpStream) -> io::Result<IdleTimeoutStream> {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| io::Error::other("too many connections"))?;
        stream.set_nodelay(true)?;
        Ok(IdleTimeoutStream::new(stream, self.idle_timeout, permit))
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Acceptor {
    type Stream = Connection;
    type Service = S;
    type Future = Either<
        std::future::Ready<io::Result<(Connection, S)>>,
        BoxFuture<'static, io::Result<(Connection, S)>>,
    >;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (tls, stream) = match (&self.tls, self.admit(stream)) {
            (Some(tls), Ok(stream)) => (tls, stream),
            (_, admitted) => {
                let accepted = admitted.map(|stream| (Either::Left(stream), service));
                return Either::Left(std::future::ready(accepted));
            }
        };
        let handshake = tokio::time::timeout(self.handshake_timeout, tls.accept(stream));
        Either::Right(Box::pin(async move {
            let stream = handshake.await.map_err(io::Error::other)??;
            Ok((Either::Right(Box::new(stream)), service))
        }))
    }
}
