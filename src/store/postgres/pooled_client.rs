//! A connection that a pool keeps.

use std::ops::Deref;

use deadpool_postgres::ClientWrapper;

/// An open connection with the statements that were prepared on it.
pub(super) struct PooledClient(pub(super) ClientWrapper);

impl Deref for PooledClient {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.0
    }
}
