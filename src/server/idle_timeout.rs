//! A TCP stream with an idle timeout. It fails if no byte is read or written, or if the client does
//! not read the pending bytes. The layers above have no such timeout: HTTP/2 in hyper has no idle
//! timeout, and for neither version does hyper limit how long a response may wait to be read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

pub(super) struct IdleTimeoutStream {
    stream: TcpStream,
    idle_timeout: Duration,
    /// The time when a byte was last read or written.
    last_progress: Instant,
    /// The time since which written bytes wait because the client reads none. Bytes that the client
    /// sends do not reset it: otherwise a client could keep a response pending as long as it sends.
    blocked_since: Option<Instant>,
    /// Fires at the deadline or earlier. Checking the deadline when the timer fires is cheaper than
    /// resetting the timer for every byte.
    timer: Pin<Box<Sleep>>,
    /// Counts the connection against the limit of the listener.
    _permit: OwnedSemaphorePermit,
}

impl IdleTimeoutStream {
    pub(super) fn new(
        stream: TcpStream,
        idle_timeout: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream,
            idle_timeout,
            last_progress: Instant::now(),
            blocked_since: None,
            timer: Box::pin(sleep(idle_timeout)),
            _permit: permit,
        }
    }

    /// Is ready when the timeout has elapsed. One task both reads and writes, so one waker is enough.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.timer.as_mut().poll(context).is_ready() {
            let elapsed = self.blocked_since.unwrap_or(self.last_progress).elapsed();
            let Some(left) = self.idle_timeout.checked_sub(elapsed).filter(|left| !left.is_zero())
            else {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "idle timeout"));
            };
            self.timer.as_mut().reset(Instant::now() + left);
        }
        Poll::Pending
    }

    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.blocked_since.get_or_insert_with(Instant::now);
            return self.poll_timeout(context).map(Err);
        }
        self.blocked_since = None;
        self.last_progress = Instant::now();
        written
    }
}

impl AsyncRead for IdleTimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            return self.poll_timeout(context).map(Err);
        }
        // The end of the stream and errors count as progress too: no timeout can follow them.
        self.last_progress = Instant::now();
        read
    }
}

impl AsyncWrite for IdleTimeoutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
