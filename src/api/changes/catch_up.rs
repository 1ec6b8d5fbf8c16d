//! The changes that a client missed between two streams.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::changed_posts::{PART_POSTS, find_changed_posts};
use super::coalesced_change::CoalescedChange;
use super::event_id::EventIds;
use super::frame::FrameBuilder;
use super::pending_changes::{PendingChanges, position_before};
use super::ring::Progress;
use crate::domain::change::{ChangePosition, ChangeSubject};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::store::{ChangeStore, Result};

/// Maximum number of posts that a client catches up with. Reading its lists again is cheaper then.
const MAX_POSTS: usize = 5_000;

/// Changes that are read at a time, and how often.
const READ_LIMIT: u32 = 5_000;
const MAX_READS: usize = 20;

/// Size in bytes of the events that are made at a time.
const PART_BYTES: usize = 64 * 1024;

/// Memory in bytes of a post that is waiting.
const POST_BYTES: usize = 64;

/// The posts that a client has not got yet.
pub(super) struct CatchUp {
    posts: VecDeque<(PostId, CoalescedChange)>,
    end: Progress,
    store: Arc<dyn ChangeStore>,
    drafts: DraftVisibility,
    with_votes: bool,
    /// Bound how many streams read at the same time.
    permits: Arc<Semaphore>,
}

impl CatchUp {
    /// Finds the changes after `from`, at least up to `end`. Returns `None` if some of them are
    /// missing, or if there are too many.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn find(
        store: Arc<dyn ChangeStore>,
        (from, end): (ChangePosition, Progress),
        (drafts, with_votes): (DraftVisibility, bool),
        permits: Arc<Semaphore>,
    ) -> Result<Option<Self>> {
        let mut pending = PendingChanges::new(drafts);
        let _permit = permits.acquire().await;
        let mut read_to = from;
        for _ in 0..MAX_READS {
            let part = store.read_changes(read_to, READ_LIMIT).await?;
            let is_known = (part.forgotten..=part.end).contains(&read_to);
            if part.epoch != end.epoch || !is_known {
                return Ok(None);
            }
            for change in part.changes {
                if let ChangeSubject::Post { id, kind } = change.subject {
                    pending.add(change.position, id, kind);
                }
            }
            if pending.len() > MAX_POSTS {
                return Ok(None);
            }
            read_to = part.end;
            if read_to >= end.sent {
                let posts = pending.due(with_votes).into();
                let permits = Arc::clone(&permits);
                return Ok(Some(Self { posts, end, store, drafts, with_votes, permits }));
            }
        }
        Ok(None)
    }

    /// Returns the next events, or `None` after the last ones. After an error it can be tried again.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn next(&mut self, ids: &EventIds) -> Result<Option<Bytes>> {
        while !self.posts.is_empty() {
            let part: Vec<_> = self.posts.iter().take(PART_POSTS).copied().collect();
            let wanted = part.iter().map(|(id, _)| *id).collect();
            let permit = self.permits.acquire().await;
            let found = find_changed_posts(&self.store, wanted, self.drafts).await?;
            drop(permit);
            let mut events = FrameBuilder::of_at_most(PART_BYTES);
            let mut taken = 0;
            for (id, change) in part {
                let post = found.get(&id);
                let fits =
                    change.event(post.is_some()).is_none_or(|kind| events.push(kind, id, post));
                if !fits {
                    break;
                }
                taken += 1;
            }
            self.posts.drain(..taken);
            if !events.is_empty() {
                let next = self.posts.front().map(|(_, change)| position_before(change.first));
                let id = ids.seal(self.end.epoch, next.unwrap_or(self.end.sent));
                return Ok(Some(events.finish_one(id.as_deref(), self.with_votes)));
            }
        }
        Ok(None)
    }

    /// Returns the memory of the posts that are waiting.
    pub(super) fn byte_len(&self) -> usize {
        self.posts.len() * POST_BYTES
    }
}
