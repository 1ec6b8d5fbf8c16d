//! How a connection is made.

use tokio_postgres::{Client, NoTls};

use super::address::Address;
use crate::store::Result;

/// A connection of one's own, for what an operator does; it ends with the client.
///
/// # Errors
/// [`crate::store::StoreError::Unavailable`] if the database is out of reach.
pub async fn connect(address: &Address) -> Result<Client> {
    let (client, connection) = address.config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
