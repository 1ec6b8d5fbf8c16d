//! Cancels a statement whose client has left, or that takes too long.

use std::pin::pin;
use std::time::Duration;

use tokio_postgres_rustls::MakeRustlsConnect;

use super::budget::Permit;
use super::pooled_client::PooledClient;

/// Maximum number of requests to cancel the statement. A request is lost if it arrives before the
/// statement, and ends only one of several pipelined statements.
const MAX_REQUESTS: usize = 10;

/// How long one request, and then the end of the statement, may take.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(200);

/// Cancels the statement in flight, and closes the connection after the end of the statement. The
/// permit is held until then, so that the server never runs more statements than the pool has
/// connections. If the server does not answer, the connection is closed after some seconds.
pub(super) async fn cancel(client: PooledClient, tls: MakeRustlsConnect, permit: Option<Permit>) {
    let token = client.cancel_token();
    {
        // The server answers it after all statements before it.
        let mut ended = pin!(client.check_connection());
        for _ in 0..MAX_REQUESTS {
            let sent = tokio::time::timeout(REQUEST_TIMEOUT, token.cancel_query(tls.clone())).await;
            if let Ok(Err(error)) = sent {
                tracing::debug!(%error, "could not cancel a statement");
            }
            if tokio::time::timeout(REQUEST_TIMEOUT, ended.as_mut()).await.is_ok() {
                break;
            }
        }
    }
    drop(client);
    drop(permit);
}
