//! A row of the log of changes, the same in both stores, and how many rows are kept.

use crate::domain::change::{Change, ChangePosition, ChangeSubject, PostChangeKind};
use crate::domain::post::PostId;
use crate::domain::user::UserId;

/// Maximum number of changes that one statement deletes.
pub(super) const CHANGES_PER_SLICE: i64 = 10_000;

/// Maximum number of slices that one call deletes.
pub(super) const SLICES_PER_CALL: usize = 32;

/// The oldest changes beyond this number are deleted.
pub(super) const MAX_CHANGES: i64 = 1_000_000;

/// A row of the log.
pub(super) struct ChangeRow {
    pub(super) position: ChangePosition,
    pub(super) post_id: Option<i64>,
    pub(super) user_id: Option<i64>,
    pub(super) kind: i64,
    pub(super) was_published: Option<bool>,
}

impl ChangeRow {
    /// Returns `None` for a row that a newer release or another program wrote.
    pub(super) fn read(&self) -> Option<Change> {
        let was_published = self.was_published.unwrap_or(false);
        let kind = match self.kind {
            1 => PostChangeKind::Created,
            2 => PostChangeKind::Updated { was_published },
            3 => PostChangeKind::Deleted { was_published },
            4 => PostChangeKind::Votes,
            5 => {
                let subject = ChangeSubject::TokensRevoked(UserId(self.user_id?));
                return Some(Change { position: self.position, subject });
            }
            _ => return None,
        };
        let subject = ChangeSubject::Post { id: PostId(self.post_id?), kind };
        Some(Change { position: self.position, subject })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: i64) -> ChangeRow {
        let position = ChangePosition { transaction: 7, number: 8 };
        ChangeRow { position, post_id: Some(1), user_id: Some(2), kind, was_published: None }
    }

    #[test]
    fn row_of_an_unknown_kind_is_no_change() {
        for kind in [i64::MIN, -1, 0, 6, i64::MAX] {
            assert_eq!(row(kind).read(), None, "{kind}");
        }
        assert!((1..=5).all(|kind| row(kind).read().is_some()));
    }

    #[test]
    fn row_without_its_subject_is_no_change() {
        for kind in 1..=5 {
            let read = ChangeRow { post_id: None, user_id: None, ..row(kind) }.read();
            assert_eq!(read, None, "{kind}");
        }
    }
}
