//! A limit on bytes or connections, and how much of it is in use.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A holder with more bytes than this is large: large holders leave an eighth of each limit to the
/// others, so that short requests succeed while large ones are refused.
const SMALL_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    in_use: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, in_use: AtomicUsize::new(0) }
    }

    /// Changes what one holder uses from `old` to `new`. Returns false, and changes nothing, if
    /// the limit is reached. Using less always succeeds.
    pub(super) fn resize(&self, old: usize, new: usize) -> bool {
        let (old, counted) = (self.counted(old), self.counted(new));
        if counted <= old {
            self.in_use.fetch_sub(old - counted, Ordering::Relaxed);
            return true;
        }
        let reserve = if new > SMALL_BYTES { self.limit / 8 } else { 0 };
        let added = |in_use: usize| {
            in_use.checked_add(counted - old).filter(|in_use| *in_use <= self.limit - reserve)
        };
        self.in_use.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).is_ok()
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// A holder that needs more than half of the limit counts as half, so that a single large
    /// response can always be read.
    fn counted(&self, amount: usize) -> usize {
        amount.min(self.limit.div_ceil(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;

    #[test]
    fn reached_limit_refuses_growth_and_keeps_the_old_size() {
        let budget = Budget::new(100);
        assert!(budget.resize(0, 30) && budget.resize(0, 40) && budget.resize(0, 20));
        assert!(!budget.resize(30, 41));
        assert_eq!(budget.in_use(), 90);
        assert!(budget.resize(30, 40) && budget.resize(40, 0) && budget.resize(40, 0));
        assert_eq!(budget.in_use(), 20);
    }

    #[test]
    fn large_holders_leave_an_eighth_to_small_ones() {
        let budget = Budget::new(LIMIT);
        assert!(budget.resize(0, LIMIT / 2) && budget.resize(0, LIMIT / 8 * 3));
        assert!(!budget.resize(0, SMALL_BYTES + 1));
        assert!(budget.resize(0, SMALL_BYTES) && budget.resize(0, SMALL_BYTES));
        assert!(!budget.resize(0, 1));
    }

    #[test]
    fn holder_of_more_than_half_counts_as_half() {
        let budget = Budget::new(LIMIT);
        assert!(budget.resize(0, 1) && budget.resize(0, 10 * LIMIT));
        assert!(!budget.resize(0, LIMIT / 2));
        assert!(budget.resize(10 * LIMIT, 0));
        assert_eq!(budget.in_use(), 1);
    }
}
