//! A request in progress: the bytes of its head, its body and its response.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout};

use super::budget::Budget;
use super::connection::Connection;
use super::network::{Network, Usage};
use super::{ClientLimits, INCLUDED_BYTES, LimitReached, REQUEST_BYTES};

/// Maximum time that a request waits for its turn among those of its network.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// The memory and the place in the queue of one request, until every clone is dropped.
#[derive(Debug, Clone)]
pub struct RequestPermit(Arc<Held>);

#[derive(Debug)]
struct Held {
    limits: ClientLimits,
    /// The connection, and when the request began on it.
    connection: Option<(Arc<Connection>, Instant)>,
    /// The network of a client behind a trusted proxy.
    forwarded: Option<Network>,
    sizes: Sizes,
    size: Mutex<Size>,
}

/// The bytes of a request that are known before its body arrives.
#[derive(Debug)]
pub(super) struct Sizes {
    /// The part of the request that the size of its connection includes.
    pub(super) included: usize,
    pub(super) head: usize,
    /// Bytes of the body that may arrive before they are read.
    pub(super) window: usize,
}

#[derive(Debug, Default)]
struct Size {
    /// Bytes of the body that have arrived.
    arrived: usize,
    counted: usize,
}

impl RequestPermit {
    pub(super) fn new(
        limits: ClientLimits,
        connection: Option<(Arc<Connection>, Instant)>,
        forwarded: Option<Network>,
        sizes: Sizes,
    ) -> Self {
        let size = Mutex::default();
        Self(Arc::new(Held { limits, connection, forwarded, sizes, size }))
    }

    /// Waits until the network of the client has fewer requests in progress than its share. The
    /// request then has its turn until the permit is dropped. A client without a network needs none.
    ///
    /// # Errors
    /// [`LimitReached`] after two seconds.
    pub async fn turn(&self) -> Result<Option<SemaphorePermit<'_>>, LimitReached> {
        let Some(usage) = self.0.usage() else { return Ok(None) };
        if let Ok(turn) = usage.requests.try_acquire() {
            return Ok(Some(turn));
        }
        let turn = timeout(TURN_TIMEOUT, usage.requests.acquire()).await;
        let turn = turn.ok().and_then(Result::ok);
        turn.map(Some).ok_or_else(|| self.0.reached("requests of a network"))
    }

    /// Counts bytes of the body that have arrived.
    ///
    /// # Errors
    /// [`LimitReached`] if a limit on memory is reached.
    pub fn add_body(&self, bytes: usize) -> Result<(), LimitReached> {
        let mut size = self.0.size.lock().unwrap_or_else(PoisonError::into_inner);
        size.arrived = size.arrived.saturating_add(bytes);
        let arrived = size.arrived.max(self.0.sizes.window);
        self.0.resize(&mut size, arrived)
    }

    /// Counts the response from now on, instead of the body. If the limit is reached, the earlier
    /// size still counts. Returns whether the permit counts anything: a small response over HTTP/1.1
    /// fits into the buffers of its connection.
    ///
    /// # Errors
    /// [`LimitReached`] if a limit on memory is reached.
    pub fn set_response(&self, bytes: usize) -> Result<bool, LimitReached> {
        let mut size = self.0.size.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.resize(&mut size, bytes)?;
        Ok(size.counted > 0)
    }
}

impl RequestPermit {
    /// Stops the time limit of the response: its client has taken all of it, and more will follow.
    pub fn pause_timeout(&self) {
        self.time_response(false);
    }

    /// Starts the time limit of the response from the beginning.
    pub fn restart_timeout(&self) {
        self.time_response(true);
    }

    fn time_response(&self, is_timed: bool) {
        if let Some((connection, began)) = &self.0.connection {
            connection.time_request(*began, is_timed);
        }
    }
}

impl Held {
    fn usage(&self) -> Option<&Usage> {
        let peer = || self.connection.as_ref().and_then(|(peer, _)| peer.network.as_ref());
        self.forwarded.as_ref().or_else(peer).map(|network| &*network.usage)
    }

    fn budgets(&self) -> [Option<(&'static str, &Budget)>; 3] {
        [
            Some(("memory of the process", &self.limits.shared.memory)),
            self.usage().map(|usage| ("memory of a network", &usage.memory)),
            self.connection.as_ref().map(|(peer, _)| ("memory of a connection", &peer.memory)),
        ]
    }

    /// Changes the size in every budget, or in none. `bytes` are those of the body or response.
    fn resize(&self, size: &mut Size, bytes: usize) -> Result<(), LimitReached> {
        let variable = self.sizes.head.saturating_add(bytes).saturating_sub(INCLUDED_BYTES);
        let own = REQUEST_BYTES - self.sizes.included;
        let (old, new) = (size.counted, own.saturating_add(variable));
        if old == new {
            return Ok(());
        }
        let budgets = self.budgets();
        let budgets = budgets.iter().flatten();
        let full = budgets.clone().find(|(_, budget)| !budget.resize(old, new));
        if let Some((limit, _)) = full {
            budgets.take_while(|(name, _)| name != limit).for_each(|(_, budget)| {
                budget.resize(new, old);
            });
            return Err(self.reached(limit));
        }
        size.counted = new;
        Ok(())
    }

    fn reached(&self, limit: &'static str) -> LimitReached {
        let peer = || self.connection.as_ref().and_then(|(peer, _)| peer.network.as_ref());
        let network = self.forwarded.as_ref().or_else(peer);
        self.limits.reached(limit, network.map(|network| network.client))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let counted = self.size.get_mut().unwrap_or_else(PoisonError::into_inner).counted;
        if counted > 0 {
            for (_, budget) in self.budgets().into_iter().flatten() {
                budget.resize(counted, 0);
            }
        }
        if let Some((connection, began)) = &self.connection {
            connection.end_request(*began);
        }
    }
}
