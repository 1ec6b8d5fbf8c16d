//! The open connections, which all kinds of work share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::budget::{Budgets, PoolLimits};
use super::client_manager::ClientPool;
use super::failover_wait::{FailoverWait, PAUSE};
use super::statement::Statement;

/// The least time between two log lines about slow statements.
const LOG_PAUSE: Duration = Duration::from_mins(1);

pub(super) struct SharedPool {
    connections: ClientPool,
    budgets: Budgets,
    limits: PoolLimits,
    tls: MakeRustlsConnect,
    is_prepared: bool,
    has_several_hosts: bool,
    needs_primary: bool,
    confirms_reads: bool,
    is_fenced: AtomicBool,
    is_distributed: AtomicBool,
    failover: FailoverWait,
    /// When the log last said that statements do not end.
    logged_slow: Mutex<Option<Instant>>,
    /// Increases when the open connections must be replaced.
    generation: AtomicUsize,
}

impl SharedPool {
    pub(super) fn new(
        connections: ClientPool,
        limits: PoolLimits,
        tls: MakeRustlsConnect,
        address: &Address,
    ) -> Self {
        let (budgets, generation) = (Budgets::new(limits), AtomicUsize::new(0));
        let is_fenced = AtomicBool::new(false);
        let failover = FailoverWait::new(limits.failover_wait);
        let logged_slow = Mutex::default();
        Self {
            connections,
            budgets,
            limits,
            tls,
            is_prepared: address.is_prepared(),
            has_several_hosts: address.hosts().len() > 1,
            needs_primary: address.needs_primary,
            confirms_reads: address.confirms_reads(),
            is_fenced,
            is_distributed: AtomicBool::new(false),
            failover,
            logged_slow,
            generation,
        }
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

    pub(super) fn has_several_hosts(&self) -> bool {
        self.has_several_hosts
    }

    /// Whether no standby may be read (`target_session_attrs`).
    pub(super) fn needs_primary(&self) -> bool {
        self.needs_primary
    }

    /// Whether reads have a fence against standbys, see `fence.rs`.
    pub(super) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Relaxed)
    }

    pub(super) fn fence_reads(&self) {
        self.is_fenced.store(true, Ordering::Relaxed);
    }

    /// Whether each answer waits for the synchronous standby (`DATABASE_CONFIRM_READS`).
    pub(super) fn confirms_reads(&self) -> bool {
        self.confirms_reads
    }

    /// Returns the text with which the connections run the statement.
    pub(super) fn text(&self, statement: &Statement) -> &'static str {
        let chosen = if self.is_distributed() {
            statement.distributed
        } else if self.confirms_reads {
            statement.confirmed
        } else {
            statement.fenced.filter(|_| !self.is_prepared && self.is_fenced())
        };
        chosen.unwrap_or(statement.sql)
    }

    /// Whether Citus has distributed the tables.
    pub(super) fn is_distributed(&self) -> bool {
        self.is_distributed.load(Ordering::Relaxed)
    }

    pub(super) fn set_distributed(&self, is_distributed: bool) {
        let was_distributed = self.is_distributed.swap(is_distributed, Ordering::Relaxed);
        if is_distributed && !was_distributed {
            tracing::info!("Citus has distributed the tables, so there are no streams of changes");
        }
    }

    pub(super) fn failover(&self) -> &FailoverWait {
        &self.failover
    }

    /// Makes requests wait while a task searches the next primary.
    pub(super) fn lose_primary(self: &Arc<Self>) {
        let Some(until) = self.failover.lose() else { return };
        tracing::warn!("lost the primary database; requests wait for the next one");
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if timeout_at(until, shared.find_primary()).await.is_err() {
                shared.failover.give_up();
            }
        });
    }

    /// Waits until a connection can be opened. The connection stays in the pool.
    async fn find_primary(&self) {
        while self.failover.is_lost() {
            if self.connections.get().await.is_ok() {
                tracing::info!("found a primary database");
                self.failover.reached();
            } else {
                sleep(PAUSE).await;
            }
        }
    }

    /// Whether another connection is open or is being opened. It is free now or will be returned.
    pub(super) fn has_others(&self) -> bool {
        self.connections.status().size > 0 || self.budgets.has_others()
    }

    /// Returns the generation of a connection that is acquired after this call.
    pub(super) fn generation(&self) -> usize {
        self.generation.load(Ordering::SeqCst)
    }

    /// Logs that a statement took longer than its timeout, at most once in [`LOG_PAUSE`].
    pub(super) fn log_slow_statement(&self) {
        let now = Instant::now();
        let mut last = self.logged_slow.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < LOG_PAUSE) {
            return;
        }
        *last = Some(now);
        tracing::warn!(
            "statements do not end: the database server hangs, or a synchronous standby is gone; see \
             pg_stat_activity and synchronous_standby_names"
        );
    }

    /// Closes the idle connections of this generation at once. Those in use are closed when they are
    /// returned: all of them are to the same server, so they have the same problem.
    ///
    /// Returns `false` if they were replaced before. An old connection tells nothing about the present
    /// ones, so nothing is closed then.
    pub(super) fn replace_connections(&self, generation: usize) -> bool {
        // First, so that no connection is returned in between.
        let next = generation.wrapping_add(1);
        let order = Ordering::SeqCst;
        if self.generation.compare_exchange(generation, next, order, order).is_err() {
            return false;
        }
        self.connections.retain(|_, _| false);
        true
    }
}
