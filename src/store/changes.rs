//! The part of the storage contract for the log of changes that streams are made of.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;
use crate::domain::change::{ChangePosition, Changes, Listening};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{PostId, PostWithVotes};

/// The log of changes of posts. The database writes it, also for other programs, while a process is
/// registered.
#[async_trait]
pub trait ChangeStore: Send + Sync + 'static {
    /// Registers the process for an hour, or renews its registration. `listener` is a random number
    /// of the process. If no process was registered, a new epoch begins with an empty log.
    async fn listen_to_changes(&self, listener: i64, now: Timestamp) -> Result<Listening>;

    /// Returns up to `limit` changes after the place. A change that is committed later never has a
    /// place before [`Changes::end`].
    async fn read_changes(&self, after: ChangePosition, limit: u32) -> Result<Changes>;

    /// Returns those of the posts that exist and that a client without an account can see, with
    /// their votes as they are now, in any order.
    async fn find_changed_posts(
        &self,
        ids: Vec<PostId>,
        drafts: DraftVisibility,
    ) -> Result<Vec<PostWithVotes>>;

    /// Deletes some of the changes that are older than an hour or exceed a million, and expired
    /// registrations.
    async fn forget_changes(&self, now: Timestamp) -> Result<()>;
}
