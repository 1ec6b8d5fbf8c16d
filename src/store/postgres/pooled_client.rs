//! The connections that a pool keeps.

use std::ops::Deref;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;

use super::connect::Connector;
use super::connection_error::OpenError;

pub(super) type ClientPool = deadpool::managed::Pool<ClientManager>;
pub(super) type PooledObject = deadpool::managed::Object<ClientManager>;

/// An open connection with the statements that were prepared on it.
pub(super) struct PooledClient(pub(super) ClientWrapper);

impl Deref for PooledClient {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.0
    }
}

/// Opens connections for the pool.
pub(super) struct ClientManager(pub(super) Connector);

impl Manager for ClientManager {
    type Type = PooledClient;
    type Error = OpenError;

    async fn create(&self) -> Result<PooledClient, OpenError> {
        self.0.open_for_requests().await
    }

    async fn recycle(&self, client: &mut PooledClient, _: &Metrics) -> RecycleResult<OpenError> {
        if client.is_closed() {
            return Err(RecycleError::message("the connection was closed"));
        }
        Ok(())
    }
}
