//! One account of everything that clients make the process hold: connections, request heads,
//! bodies, responses, and handlers that run. Each counts from its first byte until it is
//! released, against a limit of the process, a share of the client's network and a share of the
//! connection.
//!
//! | | process | network | connection |
//! | --- | --- | --- | --- |
//! | memory | `CLIENT_MEMORY_MIB` | an eighth | a sixteenth |
//! | connections | 16,384, or fewer if fewer files may be open | an eighth | |
//! | handlers that run | | 256, others wait for two seconds | |
//!
//! A network is an IPv4 address or an IPv6 /56. A trusted proxy carries many clients, so only the
//! limits of the process apply to its connections, and the network of the forwarded client to its
//! requests.
//!
//! Not here: the response if a limit is reached, see `server`.

mod budget;
mod connection;
mod metrics;
mod network;
mod request;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::budget::Budget;
use self::network::Networks;
use crate::metrics::Counter;

pub use connection::{Connection, ConnectionTimeouts};
pub use request::RequestPermit;
use request::Sizes;

/// Size of a connection with its buffers, and a pending head of 16 KiB or, over HTTP/1.1, a request of
/// [`REQUEST_BYTES`].
const CONNECTION_BYTES: usize = 32 * 1024;

/// Size of a connection over TLS: a handshake may buffer a message of 64 KiB.
const TLS_CONNECTION_BYTES: usize = 96 * 1024;

/// Size of a request with a head and a body or response of [`INCLUDED_BYTES`] together: its
/// task, its stream, and the parsed head.
const REQUEST_BYTES: usize = 12 * 1024;

/// Bytes that [`REQUEST_BYTES`] includes, so that most requests change the account once.
const INCLUDED_BYTES: usize = 4 * 1024;

/// The part of each limit of the process that one network may use.
const NETWORK_SHARE: usize = 8;

/// The part of the memory of the process that one connection may use.
const CONNECTION_SHARE: usize = 16;

/// Requests of one network whose handlers run at the same time.
const NETWORK_REQUESTS: usize = 256;

/// Each limit is logged at most once in this time.
const LOG_PERIOD: Duration = Duration::from_mins(1);

/// The account of the process.
#[derive(Debug, Clone)]
pub struct ClientLimits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    memory_limit: usize,
    connection_limit: usize,
    memory: Budget,
    connections: Budget,
    refused_connections: Counter,
    networks: Arc<Networks>,
    /// When each limit was last logged.
    logged: Mutex<HashMap<&'static str, Instant>>,
}

/// A limit is reached. The text names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit is reached: {0}")]
pub struct LimitReached(pub &'static str);

impl Default for ClientLimits {
    /// Returns limits of 512 MiB and 16,384 connections.
    fn default() -> Self {
        Self::new(512 * 1024 * 1024, 16_384)
    }
}

impl ClientLimits {
    /// Returns limits of `memory` bytes and so many connections.
    #[must_use]
    pub fn new(memory: usize, connections: usize) -> Self {
        let shared = Shared {
            memory_limit: memory,
            connection_limit: connections,
            memory: Budget::new(memory),
            connections: Budget::new(connections),
            refused_connections: Counter::default(),
            networks: Arc::default(),
            logged: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Counts a connection of this client. `None` is a trusted proxy.
    ///
    /// # Errors
    /// [`LimitReached`] if the connection must be closed.
    pub fn connect(
        &self,
        client: Option<IpAddr>,
        is_secure: bool,
    ) -> Result<Arc<Connection>, LimitReached> {
        let bytes = if is_secure { TLS_CONNECTION_BYTES } else { CONNECTION_BYTES };
        let shared = &self.shared;
        let network = client.map(|client| self.network(client));
        let usage = network.as_ref().map(|network| &network.usage);
        let counts = [
            Some(("connections of the process", &shared.connections, 1)),
            usage.map(|usage| ("connections of a network", &usage.connections, 1)),
            Some(("memory of the process", &shared.memory, bytes)),
            usage.map(|usage| ("memory of a network", &usage.memory, bytes)),
        ];
        let counts = counts.iter().flatten();
        let full = counts.clone().find(|(_, budget, amount)| !budget.resize(0, *amount));
        if let Some((limit, ..)) = full {
            for (_, budget, amount) in counts.take_while(|(name, ..)| name != limit) {
                budget.resize(*amount, 0);
            }
            shared.refused_connections.increment();
            return Err(self.reached(limit, client));
        }
        let share = if network.is_some() { CONNECTION_SHARE } else { 1 };
        let memory = shared.memory_limit / share;
        Ok(Arc::new(Connection::new(self.clone(), network, bytes, memory)))
    }

    /// Counts a request. `connection` says whether it uses HTTP/2, and `forwarded` is the client that a
    /// trusted proxy names. The head has `head` bytes, and `window` bytes of the body may arrive before
    /// the handler reads them.
    ///
    /// # Errors
    /// [`LimitReached`] if a limit on memory is reached.
    pub fn begin(
        &self,
        connection: Option<(&Arc<Connection>, bool)>,
        began: Instant,
        forwarded: Option<IpAddr>,
        [head, window]: [usize; 2],
    ) -> Result<RequestPermit, LimitReached> {
        let mut is_included = false;
        let connection = connection.map(|(connection, is_http_2)| {
            // The connection of a proxy does not count for the client that the proxy names.
            is_included = connection.begin_request(is_http_2, began) && forwarded.is_none();
            (Arc::clone(connection), began)
        });
        let forwarded = forwarded.map(|client| self.network(client));
        let included = if is_included { REQUEST_BYTES } else { 0 };
        let sizes = Sizes { included, head, window };
        let permit = RequestPermit::new(self.clone(), connection, forwarded, sizes);
        permit.add_body(0)?;
        Ok(permit)
    }

    /// Logs that a limit is reached, at most once a minute.
    pub(crate) fn reached(&self, limit: &'static str, client: Option<IpAddr>) -> LimitReached {
        let mut logged = self.shared.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let last = logged.get(limit);
        if last.is_none_or(|last| last.elapsed() >= LOG_PERIOD) {
            logged.insert(limit, Instant::now());
            let client = client.map(|client| client.to_string()).unwrap_or_default();
            tracing::warn!(limit, client, "client limit reached");
        }
        LimitReached(limit)
    }

    fn network(&self, client: IpAddr) -> network::Network {
        let shared = &self.shared;
        Networks::open(&shared.networks, client, shared.memory_limit, shared.connection_limit)
    }
}

#[cfg(test)]
mod tests;
