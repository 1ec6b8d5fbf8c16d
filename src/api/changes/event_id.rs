//! The `id` of an event: a position in the log, which a client gives back to continue from there.
//!
//! It is sealed like a cursor, because the numbers of the log would show how much hidden drafts change.

use std::sync::Arc;

use crate::api::cursor::Cursors;
use crate::domain::change::{ChangeEpoch, ChangePosition};
use crate::domain::page::Position;

#[derive(Clone)]
pub(in crate::api) struct EventIds(Arc<Cursors>);

impl EventIds {
    pub(in crate::api) fn new(cursors: Arc<Cursors>) -> Self {
        Self(cursors)
    }

    /// Returns the ID of a position. `None` if the cipher fails, which it does only for gigabytes.
    pub(super) fn seal(&self, epoch: ChangeEpoch, position: ChangePosition) -> Option<Arc<str>> {
        let ChangePosition { transaction: key, number: id } = position;
        self.0.seal(&list_of(epoch), Position { is_backward: false, key, id }).ok()
    }

    /// Returns the position of an ID of this epoch. Returns `None` for every other text.
    pub(super) fn open(&self, epoch: ChangeEpoch, id: &str) -> Option<ChangePosition> {
        let position = self.0.open(&list_of(epoch), id)?;
        Some(ChangePosition { transaction: position.key, number: position.id })
    }
}

/// Returns the name under which IDs of this epoch are sealed.
fn list_of(epoch: ChangeEpoch) -> String {
    format!("changes of epoch {}", epoch.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::api::changes) fn event_ids() -> EventIds {
        EventIds::new(Arc::new(Cursors::new(&[7; 32]).unwrap()))
    }

    #[test]
    fn id_opens_only_in_its_own_epoch() {
        let sealed = ChangePosition { transaction: 700, number: 9 };
        let id = event_ids().seal(ChangeEpoch(3), sealed).unwrap();
        assert_eq!(event_ids().open(ChangeEpoch(3), &id), Some(sealed));
        assert_eq!(event_ids().open(ChangeEpoch(4), &id), None);
        assert_eq!(event_ids().open(ChangeEpoch(3), "garbage"), None);
        // A cursor of a list is no ID of an event.
        let position = Position { is_backward: false, key: 700, id: 9 };
        let cursor = event_ids().0.seal("posts", position).unwrap();
        assert_eq!(event_ids().open(ChangeEpoch(3), &cursor), None);
    }
}
