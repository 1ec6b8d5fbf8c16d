//! The part of the storage contract for the log of changes that streams are made of.

use async_trait::async_trait;

use super::Result;
use crate::domain::change::{ChangePosition, ChangedPost, Changes, Listening};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;

/// The log of changes of posts. The database writes it, also for other programs, while a process is
/// registered. Its times are those of the database, because triggers write them.
#[async_trait]
pub trait ChangeStore: Send + Sync + 'static {
    /// Whether the database writes the log. One whose tables are distributed does not. Asks no server:
    /// before the first connection the answer is yes, and a registration fails.
    async fn has_change_log(&self) -> Result<bool>;

    /// Registers this process for an hour, or renews its registration. A new epoch begins if a change
    /// may be missing or the database may be in an earlier state, see `ChangeEpoch`.
    async fn listen_to_changes(&self) -> Result<Listening>;

    /// Returns up to `limit` changes after the position, and at least one if any exists. A change
    /// that is committed later always has a position after [`Changes::end`].
    async fn read_changes(&self, after: ChangePosition, limit: u32) -> Result<Changes>;

    /// Returns those of the posts that exist and that a client without an account can see, with
    /// their votes as they are now, in any order.
    async fn find_changed_posts(
        &self,
        ids: Vec<PostId>,
        drafts: DraftVisibility,
    ) -> Result<Vec<ChangedPost>>;

    /// Deletes changes that are older than an hour, and the oldest ones beyond a million. Deletes a
    /// bounded number of them in short transactions.
    async fn forget_changes(&self) -> Result<()>;
}
