//! The state of the administration: the traffic of the process, and the counts of rows that requests
//! share.
//!
//! Not here: when the rows are counted, see `find_counts.rs`.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::domain::administration::{DayCount, RowCounts};
use crate::metrics::Traffic;

/// The rows are counted at most once in this time.
const MAX_AGE: SignedDuration = SignedDuration::from_secs(60);

pub struct Administration {
    pub traffic: Arc<Traffic>,
    pub(super) started_at: Timestamp,
    last: RwLock<Option<LastCount>>,
    /// Held by the only task that counts.
    pub(super) counting: Mutex<()>,
}

/// The last attempt to count, and the last counts.
#[derive(Clone)]
pub(super) struct LastCount {
    attempted_at: Timestamp,
    pub(super) counts: Option<Arc<Counts>>,
}

/// Counts of rows at one time.
pub(super) struct Counts {
    pub(super) counted_at: Timestamp,
    pub(super) rows: RowCounts,
    pub(super) days: Vec<DayCount>,
}

impl Administration {
    /// `started_at` is the start of the process.
    #[must_use]
    pub fn new(started_at: Timestamp, traffic: Arc<Traffic>) -> Self {
        Self { traffic, started_at, last: RwLock::default(), counting: Mutex::default() }
    }

    /// Returns the last count, if it is not older than a minute.
    pub(super) fn fresh(&self, now: Timestamp) -> Option<LastCount> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let age = now.duration_since(last.attempted_at);
        // The age is negative if the clock was set back.
        (!age.is_negative() && age < MAX_AGE).then_some(last)
    }

    /// Keeps the counts. If there are none, keeps the ones before.
    pub(super) fn keep(
        &self,
        attempted_at: Timestamp,
        counts: Option<Counts>,
    ) -> Option<Arc<Counts>> {
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        let before = last.take().and_then(|last| last.counts);
        let counts = counts.map(Arc::new).or(before);
        *last = Some(LastCount { attempted_at, counts: counts.clone() });
        counts
    }
}
