//! All changes of one post in a part of the log, coalesced into one event.

use crate::domain::change::{ChangePosition, PostChangeKind};
use crate::domain::policy::DraftVisibility;

/// The news of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    Created,
    Updated,
    Votes,
    Deleted,
}

/// The changes of one post since `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CoalescedChange {
    /// The position of the first change.
    pub(super) first: ChangePosition,
    /// Whether clients saw the post before its first change. `None` if only its votes changed.
    was_shown: Option<bool>,
    /// Whether clients saw the post at some time before its last change.
    was_ever_shown: bool,
    is_updated: bool,
}

impl CoalescedChange {
    pub(super) fn new(first: ChangePosition) -> Self {
        Self { first, was_shown: None, was_ever_shown: false, is_updated: false }
    }

    /// Adds the next change.
    pub(super) fn add(&mut self, kind: PostChangeKind, drafts: DraftVisibility) {
        let was_published = match kind {
            PostChangeKind::Votes => return,
            PostChangeKind::Created => false,
            PostChangeKind::Updated { was_published }
            | PostChangeKind::Deleted { was_published } => {
                was_published || drafts == DraftVisibility::Visible
            }
        };
        self.was_shown.get_or_insert(was_published);
        self.was_ever_shown |= was_published;
        self.is_updated |= matches!(kind, PostChangeKind::Updated { .. } | PostChangeKind::Created);
    }

    /// Returns whether only votes changed.
    pub(super) fn has_only_votes(&self) -> bool {
        self.was_shown.is_none()
    }

    /// Returns the event, given whether clients see the post now.
    ///
    /// A post that was hidden all the time has none: not even its ID may be told. If clients saw it
    /// for a moment, it was perhaps sent by a frame whose end a client has missed, so it has one.
    pub(super) fn event(&self, is_shown: bool) -> Option<EventKind> {
        match (self.was_shown, is_shown) {
            (Some(false), true) => Some(EventKind::Created),
            (Some(true), true) if self.is_updated => Some(EventKind::Updated),
            (_, true) => Some(EventKind::Votes),
            (_, false) => self.was_ever_shown.then_some(EventKind::Deleted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DraftVisibility::{Private, Visible};
    use super::PostChangeKind::{Created, Deleted, Updated, Votes};
    use super::*;

    const PUBLIC: PostChangeKind = Updated { was_published: true };
    const DRAFT: PostChangeKind = Updated { was_published: false };

    fn event(
        kinds: &[PostChangeKind],
        drafts: DraftVisibility,
        is_shown: bool,
    ) -> Option<EventKind> {
        let mut coalesced = CoalescedChange::new(ChangePosition::default());
        for kind in kinds {
            coalesced.add(*kind, drafts);
        }
        coalesced.event(is_shown)
    }

    #[test]
    fn event_depends_on_what_clients_saw_before_and_see_now() {
        let deleted = Deleted { was_published: true };
        let cases: [(&[PostChangeKind], bool, Option<EventKind>); 18] = [
            (&[Created], true, Some(EventKind::Created)),
            (&[Created, Votes, PUBLIC], true, Some(EventKind::Created)),
            (&[DRAFT], true, Some(EventKind::Created)),
            (&[DRAFT, PUBLIC], true, Some(EventKind::Created)),
            (&[PUBLIC], true, Some(EventKind::Updated)),
            (&[Votes, PUBLIC, DRAFT], true, Some(EventKind::Updated)),
            (&[Votes], true, Some(EventKind::Votes)),
            (&[Votes], false, None),
            (&[PUBLIC], false, Some(EventKind::Deleted)),
            (&[PUBLIC, deleted], false, Some(EventKind::Deleted)),
            (&[deleted], false, Some(EventKind::Deleted)),
            (&[DRAFT], false, None),
            // Another program has replaced the row.
            (&[deleted, Created], true, Some(EventKind::Updated)),
            (&[deleted, Created], false, Some(EventKind::Deleted)),
            (&[Created], false, None),
            (&[Created, DRAFT, Deleted { was_published: false }], false, None),
            // A client may have seen it in a frame that was cut off.
            (&[Created, deleted], false, Some(EventKind::Deleted)),
            (&[DRAFT, PUBLIC], false, Some(EventKind::Deleted)),
        ];
        for (kinds, is_shown, expected) in cases {
            assert_eq!(event(kinds, Private, is_shown), expected, "{kinds:?} {is_shown}");
        }
    }

    #[test]
    fn visible_drafts_are_posts_like_all_others() {
        let deleted = Deleted { was_published: false };
        assert_eq!(event(&[Created], Visible, true), Some(EventKind::Created));
        assert_eq!(event(&[DRAFT], Visible, true), Some(EventKind::Updated));
        assert_eq!(event(&[deleted], Visible, false), Some(EventKind::Deleted));
        assert_eq!(event(&[Created, deleted], Visible, false), Some(EventKind::Deleted));
        assert_eq!(event(&[Votes], Visible, true), Some(EventKind::Votes));
    }
}
