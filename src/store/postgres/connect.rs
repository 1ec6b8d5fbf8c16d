//! How connections are made: those that requests share, and one of an operator's own.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::{Client, Config};

use super::address::Address;
use super::tls::connector;
use crate::store::{Result, StoreError};

/// Connections that requests share. Batches need one for each kind of request; the others are for
/// what goes alone. More of them do not make a server with few cores faster.
const CONNECTIONS: usize = 16;

/// How long a request waits for one of them until it is refused.
const WAIT: Duration = Duration::from_secs(2);

/// How long a connection may take to be made, logged in, and ready.
const LOGIN: Duration = Duration::from_secs(5);

/// What a serving session is set to. A statement is ended by the server after 30 seconds, a lock
/// is waited for 3 seconds. The statements' plans do not depend on their values (a test looks at
/// each), so that they are made once; and none is worth compiling.
const SERVING: &str = "-c statement_timeout=30000 -c lock_timeout=3000 \
                       -c idle_in_transaction_session_timeout=10000 \
                       -c plan_cache_mode=force_generic_plan -c jit=off";

/// An acknowledged write survives a crash, whatever the server, the database or the role are set to;
/// a setting that promises more stays.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
                        WHERE current_setting('synchronous_commit') = 'off'";

pub(super) fn pool(address: &Address) -> Result<Pool> {
    let mut config = address.config.clone();
    // Poolers refuse settings at the start of a session that is not the client's own.
    if address.is_prepared() {
        add_options(&mut config, SERVING);
    }
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, connector(&address.trust)?, recycling);
    let mut pool = Pool::builder(manager);
    if address.is_prepared() {
        pool = pool.post_create(Hook::async_fn(|connection, _| {
            Box::pin(async { connection.batch_execute(DURABLE).await.map_err(HookError::Backend) })
        }));
    }
    pool.max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(WAIT), create: Some(LOGIN), recycle: Some(WAIT) })
        .build()
        .map_err(StoreError::internal)
}

/// A connection of one's own, for what an operator does; it ends with the client.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database is out of reach.
pub async fn connect(address: &Address) -> Result<Client> {
    let connecting = address.config.connect(connector(&address.trust)?);
    let connected = tokio::time::timeout(LOGIN, connecting).await;
    let (client, connection) =
        connected.map_err(|_| StoreError::unavailable("the server did not answer in time"))??;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    });
    Ok(client)
}

/// Before those of the address, which win.
fn add_options(config: &mut Config, ours: &str) {
    let theirs = config.get_options().unwrap_or_default();
    let options = format!("{ours} {theirs}");
    config.options(options.trim_end());
}
