//! The open connections, which all kinds of work share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_postgres_rustls::MakeRustlsConnect;

use super::budget::{Budgets, PoolLimits};
use super::client_manager::ClientPool;

pub(super) struct SharedPool {
    connections: ClientPool,
    budgets: Budgets,
    limits: PoolLimits,
    tls: MakeRustlsConnect,
    is_prepared: bool,
    is_fenced: AtomicBool,
    /// Increases when the open connections must be replaced.
    generation: AtomicUsize,
}

impl SharedPool {
    pub(super) fn new(
        connections: ClientPool,
        limits: PoolLimits,
        tls: MakeRustlsConnect,
        is_prepared: bool,
    ) -> Self {
        let (budgets, generation) = (Budgets::new(limits), AtomicUsize::new(0));
        let is_fenced = AtomicBool::new(false);
        Self { connections, budgets, limits, tls, is_prepared, is_fenced, generation }
    }

    pub(super) fn connections(&self) -> &ClientPool {
        &self.connections
    }

    pub(super) fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    pub(super) fn limits(&self) -> PoolLimits {
        self.limits
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Whether statements stay prepared on their connection.
    pub(super) fn is_prepared(&self) -> bool {
        self.is_prepared
    }

    /// Whether reads have a fence against standbys, see `fence.rs`.
    pub(super) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Relaxed)
    }

    pub(super) fn fence_reads(&self) {
        self.is_fenced.store(true, Ordering::Relaxed);
    }

    /// Whether another connection is open or is being opened. It is free now or will be returned.
    pub(super) fn has_others(&self) -> bool {
        self.connections.status().size > 0 || self.budgets.has_others()
    }

    /// Returns the generation of a connection that is acquired after this call.
    pub(super) fn generation(&self) -> usize {
        self.generation.load(Ordering::SeqCst)
    }

    /// Closes the idle connections at once. A connection of an earlier generation is closed when it
    /// is returned: all of them are to the same server, so they have the same problem.
    pub(super) fn replace_connections(&self) {
        // First, so that no connection is returned in between.
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.connections.retain(|_, _| false);
    }
}
