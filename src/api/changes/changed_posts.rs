//! Reads posts as they are now, in parts of bounded memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::change::ChangedPost;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::store::{ChangeStore, Result};

/// Maximum number of posts that are read at a time. With their texts they take at most 2 MiB.
pub(super) const PART_POSTS: usize = 500;

/// Returns those of the posts that clients see.
///
/// # Errors
/// Those of the store.
pub(super) async fn find_changed_posts(
    store: &Arc<dyn ChangeStore>,
    ids: Vec<PostId>,
    drafts: DraftVisibility,
) -> Result<HashMap<PostId, ChangedPost>> {
    let posts = store.find_changed_posts(ids, drafts).await?;
    Ok(posts.into_iter().map(|found| (found.id, found)).collect())
}
