//! Requests that a lock of another session blocks. They run apart from all others, so that a locked
//! row delays only the requests that need it.
//!
//! A batch that waited for a lock does not say which request was to blame. Each of its requests is
//! set aside under the key of a post or a user, and the requests of one key are retried together.
//! Until a retry succeeds, every further request with that key is set aside too. Not here: how long
//! a statement waits for a lock, see the implementations of [`Batch`].

#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::group_commit::refuse;
use super::{Batch, BatchLimits, LockKey, Member, PendingRequest, commit};
use crate::store::StoreError;

/// Maximum number of times that a request is blocked before it fails. With the 100 ms for which a
/// statement on PostgreSQL waits, a request waits about three seconds for a lock.
const MAX_ATTEMPTS: u32 = 30;

/// Maximum number of keys that count as blocked. Beyond it, all are forgotten: a key that is still
/// blocked then delays one more batch.
const MAX_KEYS: usize = 4096;

type BlockedKeys = Mutex<HashSet<LockKey>>;

/// The way to the task that retries blocked requests. The task ends after this is dropped.
pub(super) struct BlockedRequests<B: Batch> {
    queue: mpsc::Sender<(LockKey, PendingRequest<B>)>,
    keys: Arc<BlockedKeys>,
}

impl<B: Batch> BlockedRequests<B> {
    /// Starts the task, on the current runtime.
    pub(super) fn open(batch: Arc<B>, limits: BatchLimits) -> Self {
        let (queue, blocked) = mpsc::channel(limits.queue);
        let keys = Arc::default();
        let retries = Retries {
            batch,
            limits,
            keys: Arc::clone(&keys),
            turns: VecDeque::new(),
            groups: HashMap::new(),
        };
        tokio::spawn(retries.run(blocked));
        Self { queue, keys }
    }

    /// Removes the requests with a blocked key, and sets them aside.
    pub(super) fn divert(&self, requests: &mut Vec<PendingRequest<B>>) {
        let diverted: Vec<_> = {
            let keys = lock(&self.keys);
            if keys.is_empty() {
                return;
            }
            let blocked_key = |pending: &PendingRequest<B>| {
                B::lock_keys(&pending.request).into_iter().find(|key| keys.contains(key))
            };
            let (mut kept, mut diverted) = (Vec::new(), Vec::new());
            for pending in requests.drain(..) {
                match blocked_key(&pending) {
                    Some(key) => diverted.push((key, pending)),
                    None => kept.push(pending),
                }
            }
            *requests = kept;
            diverted
        };
        for (key, pending) in diverted {
            self.send(key, pending);
        }
    }

    /// Sets the requests aside, after a batch of them was blocked.
    pub(super) async fn set_aside(&self, batch: &B, blocked: Blocked<B>) {
        for (key, mut pending) in blocked.with_keys(batch).await {
            pending.attempts += 1;
            add(&self.keys, key);
            self.send(key, pending);
        }
    }

    fn send(&self, key: LockKey, pending: PendingRequest<B>) {
        if let Err(error) = self.queue.try_send((key, pending)) {
            let (_, pending) = error.into_inner();
            pending.refuse(StoreError::Overloaded);
        }
    }
}

/// Requests whose batch was rolled back because it waited too long for a lock.
pub(super) struct Blocked<B: Batch> {
    pub(super) requests: Vec<PendingRequest<B>>,
    pub(super) error: StoreError,
}

impl<B: Batch> Blocked<B> {
    /// Returns each request with the key that probably blocks it. Refuses the requests that have no
    /// key, or no attempt left.
    async fn with_keys(self, batch: &B) -> Vec<(LockKey, PendingRequest<B>)> {
        let requests: Vec<&B::Request> =
            self.requests.iter().map(|pending| &pending.request).collect();
        let keys = batch.find_blocking_keys(&requests).await;
        let (mut keyed, mut refused) = (Vec::new(), Vec::new());
        for (pending, key) in self.requests.into_iter().zip(keys) {
            match key {
                Some(key) if pending.attempts + 1 < MAX_ATTEMPTS => keyed.push((key, pending)),
                _ => refused.push(pending),
            }
        }
        refuse(refused, self.error);
        keyed
    }
}

/// The task that retries blocked requests, one key after the other.
struct Retries<B: Batch> {
    batch: Arc<B>,
    limits: BatchLimits,
    keys: Arc<BlockedKeys>,
    /// The keys of `groups`, in the order of their next retry.
    turns: VecDeque<LockKey>,
    groups: HashMap<LockKey, Vec<PendingRequest<B>>>,
}

impl<B: Batch> Retries<B> {
    async fn run(mut self, mut queue: mpsc::Receiver<(LockKey, PendingRequest<B>)>) {
        while let Some((key, pending)) = queue.recv().await {
            self.add(key, pending);
            loop {
                // The queue holds back what exceeds the limit.
                while self.waiting() < self.limits.queue
                    && let Ok((key, pending)) = queue.try_recv()
                {
                    self.add(key, pending);
                }
                let Some(key) = self.turns.pop_front() else { break };
                let requests = self.groups.remove(&key).unwrap_or_default();
                self.retry(key, requests).await;
            }
        }
    }

    fn waiting(&self) -> usize {
        self.groups.values().map(Vec::len).sum()
    }

    fn add(&mut self, key: LockKey, pending: PendingRequest<B>) {
        match self.groups.entry(key) {
            Entry::Occupied(group) => group.into_mut().push(pending),
            Entry::Vacant(group) => {
                group.insert(vec![pending]);
                self.turns.push_back(key);
            }
        }
    }

    /// Retries the requests of a key. If they are still blocked, they wait for another turn.
    async fn retry(&mut self, key: LockKey, mut requests: Vec<PendingRequest<B>>) {
        requests.retain(Member::is_awaited);
        if requests.is_empty() {
            return;
        }
        let rest = requests.split_off(requests.len().min(self.limits.batch));
        match commit(&*self.batch, requests).await {
            Some(blocked) => {
                for (key, mut pending) in blocked.with_keys(&self.batch).await {
                    pending.attempts += 1;
                    add(&self.keys, key);
                    self.add(key, pending);
                }
            }
            None if rest.is_empty() => {
                lock(&self.keys).remove(&key);
            }
            None => {}
        }
        for pending in rest {
            self.add(key, pending);
        }
    }
}

fn add(keys: &BlockedKeys, key: LockKey) {
    let mut keys = lock(keys);
    if keys.len() >= MAX_KEYS {
        keys.clear();
    }
    keys.insert(key);
}

fn lock(keys: &BlockedKeys) -> MutexGuard<'_, HashSet<LockKey>> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}
