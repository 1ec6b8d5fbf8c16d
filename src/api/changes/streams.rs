//! The open streams of the process, and the ring of the reader that serves them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ring::Ring;
use crate::domain::user::UserId;

/// Maximum number of open streams of one account.
pub(super) const MAX_ACCOUNT_STREAMS: usize = 10;

/// A further stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamRefused {
    /// The account has [`MAX_ACCOUNT_STREAMS`] open streams.
    Account,
    /// The process has all streams that it may have.
    Process,
}

/// The open streams.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<Open>,
    count: AtomicUsize,
}

#[derive(Default)]
struct Open {
    /// For each stream of an account, whether it must ask the store before it sends more.
    accounts: HashMap<UserId, Vec<Arc<AtomicBool>>>,
    /// The frames of the running reader.
    ring: Option<Arc<Ring>>,
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds a stream. Without a ring there is no reader, so `start` starts one.
    pub(super) fn enter(
        streams: &Arc<Self>,
        user: UserId,
        limit: usize,
        start: impl FnOnce(&Arc<Ring>, &Arc<Self>),
    ) -> Result<(StreamSlot, Arc<Ring>), StreamRefused> {
        let mut open = streams.open();
        if open.accounts.get(&user).is_some_and(|own| own.len() >= MAX_ACCOUNT_STREAMS) {
            return Err(StreamRefused::Account);
        }
        if streams.len() >= limit {
            return Err(StreamRefused::Process);
        }
        // A new stream has not been checked yet.
        let must_check = Arc::new(AtomicBool::new(true));
        open.accounts.entry(user).or_default().push(Arc::clone(&must_check));
        streams.count.fetch_add(1, Ordering::Relaxed);
        let ring = if let Some(ring) = &open.ring {
            Arc::clone(ring)
        } else {
            let ring = open.ring.insert(Ring::new());
            start(ring, streams);
            Arc::clone(ring)
        };
        drop(open);
        Ok((StreamSlot { streams: Arc::clone(streams), user, must_check }, ring))
    }

    /// Makes the streams of the account ask the store before they send more. Returns whether there
    /// is one.
    pub(super) fn check(&self, user: UserId) -> bool {
        let open = self.open();
        let own = open.accounts.get(&user).map(Vec::as_slice).unwrap_or_default();
        for stream in own {
            stream.store(true, Ordering::Release);
        }
        !own.is_empty()
    }

    /// Like [`Streams::check`], for all accounts.
    pub(super) fn check_all(&self) {
        let open = self.open();
        for stream in open.accounts.values().flatten() {
            stream.store(true, Ordering::Release);
        }
    }

    /// Ends the reader of this ring if there are no streams. Returns whether it has ended.
    pub(super) fn end_if_unused(&self, ring: &Arc<Ring>) -> bool {
        let mut open = self.open();
        if !open.accounts.is_empty() {
            return false;
        }
        open.ring.take_if(|current| Arc::ptr_eq(current, ring));
        drop(open);
        ring.close();
        true
    }

    /// Ends all streams of this ring. The next stream starts a new reader.
    pub(super) fn end(&self, ring: &Arc<Ring>) {
        self.open().ring.take_if(|current| Arc::ptr_eq(current, ring));
        ring.close();
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // No code panics while it changes the streams.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open stream, until it is dropped.
pub(super) struct StreamSlot {
    streams: Arc<Streams>,
    user: UserId,
    must_check: Arc<AtomicBool>,
}

impl StreamSlot {
    /// Returns whether the stream must ask the store, once.
    pub(super) fn take_check(&self) -> bool {
        self.must_check.swap(false, Ordering::AcqRel)
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(own) = open.accounts.get_mut(&self.user) {
            own.retain(|stream| !Arc::ptr_eq(stream, &self.must_check));
            if own.is_empty() {
                open.accounts.remove(&self.user);
            }
        }
        self.streams.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(
        streams: &Arc<Streams>,
        user: i64,
        limit: usize,
    ) -> Result<(StreamSlot, Arc<Ring>), StreamRefused> {
        Streams::enter(streams, UserId(user), limit, |_, _| {})
    }

    #[test]
    fn account_and_process_have_limits_until_streams_end() {
        let streams = Arc::default();
        let mut own: Vec<_> =
            (0..MAX_ACCOUNT_STREAMS).map(|_| enter(&streams, 1, 12).unwrap()).collect();
        assert_eq!(enter(&streams, 1, 12).err(), Some(StreamRefused::Account));
        let others = [enter(&streams, 2, 12).unwrap(), enter(&streams, 3, 12).unwrap()];
        assert_eq!(enter(&streams, 4, 12).err(), Some(StreamRefused::Process));
        drop(others);
        assert_eq!(enter(&streams, 1, 12).err(), Some(StreamRefused::Account));
        own.pop();
        drop(enter(&streams, 1, 12).unwrap());
        own.clear();
        assert_eq!(streams.len(), 0);
        assert!(streams.open().accounts.is_empty());
    }

    #[test]
    fn only_streams_of_a_revoked_account_are_checked_again() {
        let streams = Arc::default();
        let [(one, _), (same, _), (other, _)] =
            [1, 1, 2].map(|user| enter(&streams, user, 12).unwrap());
        for stream in [&one, &same, &other] {
            assert!(stream.take_check(), "a new stream");
            assert!(!stream.take_check());
        }
        assert!(streams.check(UserId(1)) && !streams.check(UserId(3)));
        assert_eq!([&one, &same, &other].map(StreamSlot::take_check), [true, true, false]);
        streams.check_all();
        assert_eq!([&one, &same, &other].map(StreamSlot::take_check), [true; 3]);
    }

    #[test]
    fn reader_ends_with_the_last_stream_and_the_next_one_starts_another() {
        let streams = Arc::default();
        let (slot, ring) = enter(&streams, 1, 12).unwrap();
        let (_, same) = enter(&streams, 1, 12).unwrap();
        assert!(Arc::ptr_eq(&ring, &same));
        assert!(!streams.end_if_unused(&ring));
        drop(slot);
        assert!(streams.end_if_unused(&ring));
        let (_slot, next) = enter(&streams, 1, 12).unwrap();
        assert!(!Arc::ptr_eq(&ring, &next));
        // The end of the earlier reader does not end the later one.
        streams.end(&ring);
        let (_, still) = enter(&streams, 1, 12).unwrap();
        assert!(Arc::ptr_eq(&next, &still));
    }
}
