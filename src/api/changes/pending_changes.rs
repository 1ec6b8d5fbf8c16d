//! The changes that are not sent yet, one for each post.

use std::collections::HashMap;

use super::coalesced_change::CoalescedChange;
use crate::domain::change::{ChangePosition, PostChangeKind};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;

pub(super) struct PendingChanges {
    drafts: DraftVisibility,
    posts: HashMap<PostId, CoalescedChange>,
}

impl PendingChanges {
    pub(super) fn new(drafts: DraftVisibility) -> Self {
        Self { drafts, posts: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    pub(super) fn clear(&mut self) {
        self.posts.clear();
    }

    pub(super) fn add(&mut self, position: ChangePosition, id: PostId, kind: PostChangeKind) {
        let change = self.posts.entry(id).or_insert_with(|| CoalescedChange::new(position));
        change.add(kind, self.drafts);
    }

    /// Returns the posts whose texts changed and, if wanted, those of which only votes changed, in
    /// the order of their first changes.
    pub(super) fn due(&self, with_votes: bool) -> Vec<(PostId, CoalescedChange)> {
        let is_due = |change: &CoalescedChange| with_votes || !change.has_only_votes();
        let posts = self.posts.iter().filter(|(_, change)| is_due(change));
        let mut due: Vec<_> = posts.map(|(id, change)| (*id, *change)).collect();
        due.sort_unstable_by_key(|(_, change)| change.first);
        due
    }

    pub(super) fn remove(&mut self, id: PostId) {
        self.posts.remove(&id);
    }

    /// Returns the position of the first change that is not sent yet.
    pub(super) fn first(&self) -> Option<ChangePosition> {
        self.posts.values().map(|change| change.first).min()
    }
}

/// Returns a position before this change, and after every other one before it.
pub(super) fn position_before(change: ChangePosition) -> ChangePosition {
    ChangePosition { number: change.number.saturating_sub(1), ..change }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64) -> ChangePosition {
        ChangePosition { transaction: 7, number }
    }

    #[test]
    fn posts_are_due_in_the_order_of_their_first_changes() {
        let mut pending = PendingChanges::new(DraftVisibility::Private);
        pending.add(at(1), PostId(9), PostChangeKind::Votes);
        pending.add(at(2), PostId(3), PostChangeKind::Created);
        pending.add(at(3), PostId(4), PostChangeKind::Created);
        pending.add(at(4), PostId(3), PostChangeKind::Votes);
        let due = |pending: &PendingChanges, with_votes| -> Vec<_> {
            pending.due(with_votes).iter().map(|(id, change)| (id.0, change.first)).collect()
        };
        assert_eq!(due(&pending, false), [(3, at(2)), (4, at(3))]);
        assert_eq!(due(&pending, true), [(9, at(1)), (3, at(2)), (4, at(3))]);
        assert_eq!(pending.first(), Some(at(1)));
        pending.remove(PostId(9));
        assert_eq!((pending.first(), pending.len()), (Some(at(2)), 2));
    }

    #[test]
    fn changes_after_the_place_before_one_begin_with_it() {
        assert!(position_before(at(5)) < at(5) && position_before(at(5)) >= at(4));
    }
}
