//! Opens connections for the pool, and checks them before they are used again.

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use super::connect::Connector;
use super::connection_error::OpenError;
use super::pooled_client::PooledClient;

pub(super) type ClientPool = deadpool::managed::Pool<ClientManager>;
pub(super) type PooledObject = deadpool::managed::Object<ClientManager>;

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
