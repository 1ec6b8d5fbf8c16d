//! A connection that a pool keeps.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::ClientWrapper;

/// An open connection with the statements that were prepared on it.
pub(super) struct PooledClient {
    client: ClientWrapper,
    was_idle_at_end: Arc<AtomicBool>,
}

impl PooledClient {
    /// The flag is set when the server ends the connection while no statement is in flight.
    pub(super) fn new(client: ClientWrapper, was_idle_at_end: Arc<AtomicBool>) -> Self {
        Self { client, was_idle_at_end }
    }

    /// Whether the server has ended the connection, and no statement was in flight then. A statement
    /// that failed since then was not sent.
    pub(super) fn was_idle_at_end(&self) -> bool {
        self.was_idle_at_end.load(Ordering::SeqCst)
    }
}

impl Deref for PooledClient {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}
