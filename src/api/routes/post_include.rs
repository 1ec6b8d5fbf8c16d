//! The parts that `include` adds to posts: the caller's own votes, and the names of the owners.

use std::collections::HashMap;

use utoipa::ToSchema;

use super::include::read_include;
use super::post_types::{Owner, PostOut};
use crate::api::error::{ApiError, ApiResult};
use crate::api::input::RequestFields;
use crate::api::state::AppState;
use crate::domain::caller::Caller;
use crate::domain::display_name::DisplayName;
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::user::UserId;
use crate::domain::vote::Direction;

/// A value of the parameter `include` of posts.
#[derive(ToSchema)]
#[schema(title = "PostInclude", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of the parameter")]
pub(in crate::api) enum IncludedPart {
    MyVote,
    Owner,
}

/// The parts to include.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::api) struct PostInclude {
    my_vote: bool,
    owner: bool,
}

/// Maximum number of posts or owners that one statement looks up.
const MAX_LOOKED_UP: usize = 1000;

impl PostInclude {
    /// Returns `None` only after an error was recorded.
    pub(super) fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let parts = read_include(request, &["my_vote", "owner"])?;
        Some(Self { my_vote: parts.contains(&"my_vote"), owner: parts.contains(&"owner") })
    }

    /// # Errors
    /// [`ApiError::NotAuthenticated`] if a part needs a caller and there is none.
    pub(super) fn check_caller(self, caller: Option<Caller>) -> ApiResult<()> {
        if self.needs_caller() && caller.is_none() {
            return Err(ApiError::NotAuthenticated);
        }
        Ok(())
    }

    /// Whether a part is about the caller.
    pub(super) fn needs_caller(self) -> bool {
        self.my_vote
    }

    /// Returns the value of the parameter for a link.
    pub(super) fn parameter(self) -> Option<String> {
        let parts = [(self.my_vote, "my_vote"), (self.owner, "owner")];
        let names: Vec<&str> =
            parts.iter().filter(|(is_included, _)| *is_included).map(|(_, name)| *name).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// Reads the parts for these posts. Without a caller there is no vote.
    ///
    /// # Errors
    /// The errors of the store.
    pub(super) async fn find(
        self,
        app: &AppState,
        caller: Option<Caller>,
        posts: &[PostWithVotes],
    ) -> ApiResult<IncludedParts> {
        let votes = match caller.filter(|_| self.my_vote) {
            Some(caller) => Some(find_votes(app, caller, posts).await?),
            None => None,
        };
        let names = if self.owner { Some(find_names(app, posts).await?) } else { None };
        Ok(IncludedParts { votes, names })
    }
}

/// The parts that the store found. `None` for a part that the response does not have.
#[derive(Debug, Default)]
pub(super) struct IncludedParts {
    votes: Option<HashMap<PostId, Direction>>,
    names: Option<HashMap<UserId, DisplayName>>,
}

impl IncludedParts {
    /// Whether the response is the one without `include`.
    pub(super) fn is_empty(&self) -> bool {
        self.votes.is_none() && self.names.is_none()
    }

    /// Returns the size of the parts in the response for these posts, in bytes.
    pub(super) fn byte_len(&self, posts: &[PostWithVotes]) -> usize {
        const PART_BYTES: usize = 48;
        let parts = usize::from(self.votes.is_some()) + usize::from(self.names.is_some());
        let names = self
            .names
            .iter()
            .flat_map(|names| posts.iter().filter_map(|found| names.get(&found.post.owner_id)));
        let names: usize = names.map(|name| name.as_str().len()).sum();
        names + posts.len() * parts * PART_BYTES
    }

    /// Returns the post with its parts.
    pub(super) fn show(&self, found: PostWithVotes) -> PostOut {
        let (post, owner) = (found.post.id, found.post.owner_id);
        let my_vote = self.votes.as_ref();
        let my_vote = my_vote.map(|votes| votes.get(&post).map_or(0, |dir| dir.value()));
        let owner = self.names.as_ref().map(|names| Owner::new(owner, names.get(&owner)));
        PostOut::with_parts(found, my_vote, owner)
    }
}

async fn find_votes(
    app: &AppState,
    caller: Caller,
    posts: &[PostWithVotes],
) -> ApiResult<HashMap<PostId, Direction>> {
    let ids: Vec<PostId> = posts.iter().map(|found| found.post.id).collect();
    let mut votes = HashMap::new();
    for ids in ids.chunks(MAX_LOOKED_UP) {
        let found = app.store.find_votes(caller, ids.to_vec()).await?;
        votes.extend(found.into_iter().map(|vote| (vote.post_id, vote.direction)));
    }
    Ok(votes)
}

/// Looks up each owner once.
async fn find_names(
    app: &AppState,
    posts: &[PostWithVotes],
) -> ApiResult<HashMap<UserId, DisplayName>> {
    let mut owners: Vec<UserId> = posts.iter().map(|found| found.post.owner_id).collect();
    owners.sort_unstable();
    owners.dedup();
    let mut names = HashMap::new();
    for owners in owners.chunks(MAX_LOOKED_UP) {
        names.extend(app.store.find_names(owners.to_vec()).await?);
    }
    Ok(names)
}
