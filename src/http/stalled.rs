//! A connection that ends itself when its client no longer takes what it is sent, or when nothing
//! moves at all. Nothing above it does: HTTP/2 knows no idle time, and neither protocol bounds how
//! long an answer may wait to be read.

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
    /// When a byte was last read or written.
    moved: Instant,
    /// Since when the client takes nothing although something waits for it. What it sends in the
    /// meantime does not count, or it could hold an answer for as long as it talks.
    blocked: Option<Instant>,
    /// Rings at the deadline or before. Moving it for every byte would cost more than to look at
    /// the deadline when it rings.
    timer: Pin<Box<Sleep>>,
    /// Among the connections that there may be.
    _place: OwnedSemaphorePermit,
}

impl IdleTimeoutStream {
    pub(super) fn new(
        stream: TcpStream,
        idle_timeout: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream,
            idle_timeout,
            moved: Instant::now(),
            blocked: None,
            timer: Box::pin(sleep(idle_timeout)),
            _place: place,
        }
    }

    /// Ready when the connection has stalled. One task reads and writes, so that its waker is the
    /// only one to ring.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.timer.as_mut().poll(context).is_ready() {
            let elapsed = self.blocked.unwrap_or(self.moved).elapsed();
            let Some(left) = self.idle_timeout.checked_sub(elapsed).filter(|left| !left.is_zero())
            else {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "it stalled"));
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
            self.blocked.get_or_insert_with(Instant::now);
            return self.poll_stalled(context).map(Err);
        }
        self.blocked = None;
        self.moved = Instant::now();
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
            return self.poll_stalled(context).map(Err);
        }
        // An end or an error is no byte, but nothing is waited for after it.
        self.moved = Instant::now();
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
