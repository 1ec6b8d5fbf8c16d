//! Lets an endless response live with the response timeout: the timeout runs only while the client
//! does not read.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use crate::client_limits::RequestPermit;

/// A stream that counts against the limits of its client until it is dropped.
pub(super) struct WithResponseTimeout<S> {
    stream: S,
    permit: RequestPermit,
}

impl<S> WithResponseTimeout<S> {
    pub(super) fn new(stream: S, permit: RequestPermit) -> Self {
        Self { stream, permit }
    }
}

impl<S: Stream + Unpin> Stream for WithResponseTimeout<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let next = Pin::new(&mut self.stream).poll_next(context);
        // The connection asks for more only after it has sent most of what it got.
        if next.is_pending() {
            self.permit.pause_timeout();
        } else {
            self.permit.restart_timeout();
        }
        next
    }
}
