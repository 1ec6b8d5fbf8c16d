//! The JSON types of posts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::json_text::serialize_text;
use crate::api::responses::serialize_timestamp;
use crate::domain::display_name::DisplayName;
use crate::domain::post;
use crate::domain::text::Text;
use crate::domain::user::UserId;

/// The body of a post.
#[derive(Deserialize, ToSchema)]
#[schema(title = "PostCreate", example = json!({"title": "First", "content": "Hello", "published": true}))]
#[expect(dead_code, reason = "the schema of CreatePostRequest")]
pub(in crate::api) struct PostCreate {
    title: String,
    content: String,
    /// False makes it a draft.
    #[schema(default = true, required = false)]
    published: bool,
}

/// New values for some fields of a post. A field that is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(title = "PostUpdate", example = json!({"title": "Second"}))]
#[expect(dead_code, reason = "the schema of UpdatePostRequest")]
pub(in crate::api) struct PostUpdate {
    #[schema(required = false)]
    title: String,
    #[schema(required = false)]
    content: String,
    /// False makes it a draft.
    #[schema(required = false)]
    published: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(title = "Post", example = json!({
    "title": "First", "content": "Hello", "published": true, "id": 1,
    "created_at": "2025-01-31T12:00:00.123456Z", "owner_id": 1
}))]
pub(in crate::api) struct Post {
    #[serde(serialize_with = "serialize_text")]
    #[schema(value_type = String)]
    title: Text,
    #[serde(serialize_with = "serialize_text")]
    #[schema(value_type = String)]
    content: Text,
    #[schema(default = true, required = false)]
    published: bool,
    id: i64,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    owner_id: i64,
}

impl From<post::Post> for Post {
    fn from(post: post::Post) -> Self {
        Self {
            title: post.title,
            content: post.content,
            published: post.published,
            id: post.id.0,
            created_at: post.created_at,
            owner_id: post.owner_id.0,
        }
    }
}

/// A post with its votes.
#[derive(Serialize, ToSchema)]
#[schema(title = "PostOut")]
pub(in crate::api) struct PostOut {
    #[serde(rename = "Post")]
    post: Post,
    /// Upvotes minus downvotes.
    #[schema(example = 1)]
    votes: i64,
    /// The vote of the caller: 1, -1, or 0 for none. Only present with `include=my_vote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1, minimum = -1, maximum = 1, nullable = false)]
    my_vote: Option<i64>,
    /// The owner with its name. Only present with `include=owner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owner: Option<Owner>,
}

impl PostOut {
    pub(super) fn with_parts(
        found: post::PostWithVotes,
        my_vote: Option<i64>,
        owner: Option<Owner>,
    ) -> Self {
        Self { my_vote, owner, ..found.into() }
    }
}

/// The owner of a post.
#[derive(Serialize, ToSchema)]
#[schema(title = "Owner", example = json!({"id": 1, "name": "Ada Lovelace"}))]
pub(in crate::api) struct Owner {
    id: i64,
    /// The display name. Null if the account has none.
    #[schema(required = true)]
    name: Option<String>,
}

impl Owner {
    pub(super) fn new(id: UserId, name: Option<&DisplayName>) -> Self {
        Self { id: id.0, name: name.map(|name| name.as_str().to_owned()) }
    }
}

impl From<post::PostWithVotes> for PostOut {
    fn from(found: post::PostWithVotes) -> Self {
        Self { post: found.post.into(), votes: found.votes, my_vote: None, owner: None }
    }
}
