//! The rankings of all posts, which requests share.
//!
//! Not here: when a ranking is computed, see `find_ranking.rs`; its order, see `domain::ranking`.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::domain::page::EntryKey;
use crate::domain::ranking::Ranking;
use crate::store::RankSource;

/// A younger ranking is not renewed.
const MIN_AGE: SignedDuration = SignedDuration::from_secs(5);

/// A ranking that took longer is renewed less often: not before this many times the time that it
/// took. PostgreSQL may use three processes for it, and together they take at most 1 % of a core.
const MAX_SHARE: i32 = 300;

/// An older ranking is not used while it is renewed.
const MAX_AGE: SignedDuration = SignedDuration::from_secs(60);

/// The rankings from both sources.
#[derive(Default)]
pub struct Rankings {
    most_voted: Renewed,
    newest: Renewed,
}

/// The rankings from one source, and who may renew them.
#[derive(Default)]
pub(super) struct Renewed {
    current: RwLock<Option<Arc<Ranked>>>,
    /// Held by the only task that computes.
    pub(super) renewal: Arc<Mutex<()>>,
}

/// The rankings from one source.
pub(super) struct Ranked {
    pub(super) made_at: Timestamp,
    pub(super) took: SignedDuration,
    pub(super) lists: Vec<(Ranking, Arc<[EntryKey]>)>,
}

impl Rankings {
    pub(super) fn from(&self, source: RankSource) -> &Renewed {
        match source {
            RankSource::MostVoted => &self.most_voted,
            RankSource::Newest => &self.newest,
        }
    }
}

impl Renewed {
    pub(super) fn current(&self) -> Option<Arc<Ranked>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, ranked: &Arc<Ranked>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(ranked));
    }
}

impl Ranked {
    pub(super) fn find(&self, ranking: Ranking) -> Arc<[EntryKey]> {
        let found = self.lists.iter().find(|(other, _)| *other == ranking);
        found.map_or_else(|| Arc::from([]), |(_, list)| Arc::clone(list))
    }

    /// Returns the age. `None` if the clock was set back meanwhile.
    fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        let age = now.duration_since(self.made_at);
        (!age.is_negative()).then_some(age)
    }

    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        self.age(now).is_some_and(|age| age <= MIN_AGE.max(self.took.saturating_mul(MAX_SHARE)))
    }

    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        self.age(now).is_some_and(|age| age <= MAX_AGE)
    }
}
