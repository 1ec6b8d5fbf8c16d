//! Which connections there may be, and how each begins.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::stalled::IdleTimeoutStream;
use super::tls::Tls;

/// Admits a connection while there is a place, which it holds until it ends: from before the handshake,
/// so that those who never end theirs are counted too.
#[derive(Clone)]
pub(super) struct Admission {
    pub(super) places: Arc<Semaphore>,
    pub(super) idle_timeout: Duration,
    pub(super) handshake_time: Duration,
    pub(super) tls: Option<Arc<Tls>>,
}

/// A connection, without or within TLS.
type Connection = Either<IdleTimeoutStream, Box<TlsStream<IdleTimeoutStream>>>;

impl Admission {
    fn admit(&self, stream: TcpStream) -> io::Result<IdleTimeoutStream> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| io::Error::other("too many connections"))?;
        stream.set_nodelay(true)?;
        Ok(IdleTimeoutStream::new(stream, self.idle_timeout, place))
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Admission {
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
        let handshake = tokio::time::timeout(self.handshake_time, tls.accept(stream));
        Either::Right(Box::pin(async move {
            let stream = handshake.await.map_err(io::Error::other)??;
            Ok((Either::Right(Box::new(stream)), service))
        }))
    }
}
