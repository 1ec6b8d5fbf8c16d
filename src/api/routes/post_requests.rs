//! The validated requests for a post. Not here: the list of posts, see `post_list_request.rs`.

use serde_json::Value;

use super::post_include::PostInclude;
use crate::api::input::{
    BodyKind, Conditions, FieldError, FromRequestFields, JsonInteger, Repeatable, RequestFields,
    boolean, stored_text, text,
};
use crate::domain::idempotency_key::Fingerprint;
use crate::domain::post::{PostContent, PostUpdate};
use crate::domain::text::Text;

/// The validated body of a post.
pub(in crate::api) struct CreatePostRequest(pub(super) PostContent);

impl FromRequestFields for CreatePostRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let body = request.object(None)?;
        let title = request.required(&body, "title", content_text);
        let content = request.required(&body, "content", content_text);
        let published = request.defaulted(&body, "published", true, boolean);
        Some(Self(PostContent { title: title?, content: content?, published: published? }))
    }
}

impl Repeatable for CreatePostRequest {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of("POST /posts", &values(&self.0))
    }
}

/// The ID of a post in the path, and the parts to include.
pub(in crate::api) struct GetPostRequest {
    pub(super) id: JsonInteger,
    pub(super) include: PostInclude,
}

impl FromRequestFields for GetPostRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let include = PostInclude::read(request);
        Some(Self { id: id?, include: include? })
    }
}

/// The ID of a post in the path, and the conditions of its deletion.
pub(in crate::api) struct DeletePostRequest {
    pub(super) id: JsonInteger,
    pub(super) conditions: Conditions,
}

impl FromRequestFields for DeletePostRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let conditions = request.conditions();
        Some(Self { id: id?, conditions: conditions? })
    }
}

/// The deletion is the only write that has no other value.
impl Repeatable for DeletePostRequest {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of("DELETE /posts/{id}", &[&self.id.as_id().to_be_bytes()])
    }
}

/// The ID of a post in the path, and its new content.
pub(in crate::api) struct ReplacePostRequest {
    pub(super) id: JsonInteger,
    pub(super) conditions: Conditions,
    pub(super) content: PostContent,
}

impl FromRequestFields for ReplacePostRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let conditions = request.conditions();
        let CreatePostRequest(content) = CreatePostRequest::read(request)?;
        Some(Self { id: id?, conditions: conditions?, content })
    }
}

impl Repeatable for ReplacePostRequest {
    fn fingerprint(&self) -> Fingerprint {
        let [title, content, published] = values(&self.content);
        let id = self.id.as_id().to_be_bytes();
        Fingerprint::of("PUT /posts/{id}", &[&id, title, content, published])
    }
}

/// Returns the values of a post for a fingerprint.
fn values(post: &PostContent) -> [&[u8]; 3] {
    let published: &[u8] = if post.published { &[1] } else { &[0] };
    [post.title.as_str().as_bytes(), post.content.as_str().as_bytes(), published]
}

/// The ID of a post in the path, and new values for some of its fields.
pub(in crate::api) struct UpdatePostRequest {
    pub(super) id: JsonInteger,
    pub(super) conditions: Conditions,
    pub(super) update: PostUpdate,
}

impl FromRequestFields for UpdatePostRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let conditions = request.conditions();
        let body = request.object(None)?;
        let title = request.optional(&body, "title", content_text);
        let content = request.optional(&body, "content", content_text);
        let published = request.optional(&body, "published", boolean);
        let update = PostUpdate { title: title?, content: content?, published: published? };
        Some(Self { id: id?, conditions: conditions?, update })
    }
}

/// The conditions are no part of the fingerprint, as in the other changes: a retry is the same request
/// although its tag is an old one.
impl Repeatable for UpdatePostRequest {
    fn fingerprint(&self) -> Fingerprint {
        let PostUpdate { title, content, published } = &self.update;
        let [title, content] =
            [title, content].map(|text| text.as_ref().map(|text| text.as_str().as_bytes()));
        let published = published.map(|published| [u8::from(published)]);
        let fields = [title, content, published.as_ref().map(|byte| &byte[..])];
        // An absent field is another request than an empty one.
        let is_present = fields.map(|field| [u8::from(field.is_some())]);
        let [title, content, published] = fields.map(Option::unwrap_or_default);
        let id = self.id.as_id().to_be_bytes();
        let values: [&[u8]; 5] = [&id, &is_present.concat(), title, content, published];
        Fingerprint::of("PATCH /posts/{id}", &values)
    }
}

fn content_text(value: &Value) -> Result<Text, FieldError> {
    stored_text(text(value)?)
}
