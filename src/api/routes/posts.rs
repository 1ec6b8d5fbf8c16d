//! Posts: create, read, replace, update, delete.
//!
//! Not here: the list of posts, see `post_list.rs`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::post_types::{Post, PostCreate, PostOut, PostUpdate};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::entity_tag::with_tag;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{
    BodyKind, ConditionHeaders, Conditions, FieldError, FromRequestFields, JsonInteger, Keyed,
    Repeatable, RequestFields, boolean, stored_text, text,
};
use crate::api::json_response::Json;
use crate::api::large_work::count;
use crate::api::replay::{self, IdempotencyKeyHeader};
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, ErrorBody, Failures, PreconditionErrors, RateLimitErrors,
    TokenErrors, ValidationErrors, created, revalidated,
};
use crate::api::state::AppState;
use crate::api::writer::Writer;
use crate::client_limits::RequestPermit;
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;
use crate::domain::idempotency_key::Fingerprint;
use crate::domain::post::{self, PostContent, PostId, PostWithVotes};
use crate::domain::text::Text;
use crate::store::{ChangePost, Once};

/// The validated body of a post.
pub(in crate::api) struct CreatePostRequest(PostContent);

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

/// The ID of a post in the path.
pub(in crate::api) struct PostPath(JsonInteger);

impl FromRequestFields for PostPath {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        request.path_integer("id").map(Self)
    }
}

/// The ID of a post in the path, and the conditions of its deletion.
pub(in crate::api) struct DeletePostRequest {
    id: JsonInteger,
    conditions: Conditions,
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
    id: JsonInteger,
    conditions: Conditions,
    content: PostContent,
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
    id: JsonInteger,
    conditions: Conditions,
    update: post::PostUpdate,
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
        let update = post::PostUpdate { title: title?, content: content?, published: published? };
        Some(Self { id: id?, conditions: conditions?, update })
    }
}

/// Write a post
///
/// Creates a post of the caller.
#[utoipa::path(
    post, path = "/posts", operation_id = "create_posts_posts_post", tag = "Posts",
    params(IdempotencyKeyHeader),
    request_body = PostCreate,
    responses(
        (status = 201, description = "Successful Response", body = Post,
            headers(
                ("Location" = String, description = "The path of the post"),
                ("ETag" = String, description = "The version of the post, without votes"),
                ("Idempotent-Replayed" = bool, description = "True if an earlier request did this")
            )),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn create_post(
    State(app): State<Arc<AppState>>,
    writer: Writer,
    Valid(Keyed { input: CreatePostRequest(content), key }): Valid<Keyed<CreatePostRequest>>,
) -> ApiResult<Response> {
    let tags = app.entity_tags().await?;
    let (caller, bytes, now) = (writer.caller, content.byte_len(), app.clock.now());
    let create = async {
        match key {
            None => app.store.create_post(caller, content, now).await.map(Once::Done),
            Some(key) => app.store.create_post_once(caller, content, key, now).await,
        }
    };
    let (post, replay) = replay::outcome(writer.run(bytes, create).await?)?;
    let location = format!("{}/posts/{}", app.root_path, post.id.0);
    let respond = move || {
        let new = PostWithVotes { post, votes: 0 };
        let tag = tags.of_post(&new);
        replay.mark(with_tag(created(&location, Post::from(new.post)), tag))
    };
    app.large_work.run(bytes, respond).await
}

/// Get a post
///
/// Returns a post with its votes. Only its owner can read a draft.
#[utoipa::path(
    get, path = "/posts/{id}", operation_id = "get_post_posts__id__get", tag = "Posts",
    params(("id" = i64, Path, description = "The ID of the post")),
    responses(
        (status = 200, description = "Successful Response", body = PostOut,
            headers(("Cache-Control" = String, description = "`private, no-cache`; for a draft `no-store`"))),
        (status = 404, description = "No such post", body = ErrorBody,
            example = json!({"detail": "the post with the id:7 was no found"})),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn get_post(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Extension(permit): Extension<RequestPermit>,
    Valid(PostPath(id)): Valid<PostPath>,
) -> ApiResult<Response> {
    let found = app.store.find_post(caller, PostId(id.as_id())).await?;
    let found = found.ok_or(ApiError::NoSuchPost(id))?;
    let bytes = found.post.byte_len();
    count(&permit, bytes)?;
    let (tags, is_public) = (app.entity_tags().await?, found.post.published);
    let respond = move || {
        let tag = tags.of_post(&found);
        with_tag(Json(PostOut::from(found)).into_response(), tag)
    };
    let response = app.large_work.run(bytes, respond).await?;
    Ok(if is_public { revalidated(response) } else { response })
}

/// Replace a post
///
/// Replaces title, content and published. If `published` is absent, it becomes true.
#[utoipa::path(
    put, path = "/posts/{id}", operation_id = "update_post_posts__id__put", tag = "Posts",
    params(
        ("id" = i64, Path, description = "The ID of the post"), IdempotencyKeyHeader, ConditionHeaders
    ),
    request_body = PostCreate,
    responses(
        (status = 200, description = "Successful Response", body = Post,
            headers((
                "Idempotent-Replayed" = bool, description = "True if an earlier request did this"
            ))),
        (status = 403, description = "The post belongs to another user", body = ErrorBody,
            example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such post", body = ErrorBody,
            example = json!({"detail": "post with id does not exist"})),
        TokenErrors, BodyErrors, BodyLimitErrors, PreconditionErrors, ValidationErrors, RateLimitErrors,
        Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn replace_post(
    State(app): State<Arc<AppState>>,
    writer: Writer,
    client: ClientIp,
    Valid(Keyed { input, key }): Valid<Keyed<ReplacePostRequest>>,
) -> ApiResult<Response> {
    let ReplacePostRequest { id, conditions, content } = input;
    let precondition = conditions.precondition(&app).await?;
    let (caller, id) = (writer.caller, PostId(id.as_id()));
    let (bytes, now) = (content.byte_len(), app.clock.now());
    let replace = async {
        match key {
            None => app.store.replace_post(caller, id, content, precondition).await.map(Once::Done),
            Some(key) => app.store.replace_post_once(caller, id, content, key, now).await,
        }
    };
    let (replaced, replay) = replay::outcome(writer.run(bytes, replace).await?)?;
    let post = changed(&app, caller, client, replaced)?;
    // Without a tag: the texts are stored as they came, but the representation is not the body
    // (RFC 9110, 9.3.4).
    app.large_work.run(bytes, move || replay.mark(Json(Post::from(post)))).await
}

/// Update a post
///
/// Replaces only the fields that are in the body, a JSON merge patch (RFC 7396). A post has each of its
/// fields, so null is an error.
#[utoipa::path(
    patch, path = "/posts/{id}", operation_id = "updatePost", tag = "Posts",
    params(("id" = i64, Path, description = "The ID of the post"), ConditionHeaders),
    request_body(content(
        (PostUpdate = "application/json"), (PostUpdate = "application/merge-patch+json")
    )),
    responses(
        (status = 200, description = "Successful Response", body = Post,
            headers(("ETag" = String, description = "The version of the post, with its votes"))),
        (status = 403, description = "The post belongs to another user", body = ErrorBody,
            example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such post", body = ErrorBody,
            example = json!({"detail": "post with id does not exist"})),
        TokenErrors, BodyErrors, BodyLimitErrors, PreconditionErrors, ValidationErrors, RateLimitErrors,
        Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn update_post(
    State(app): State<Arc<AppState>>,
    writer: Writer,
    client: ClientIp,
    Valid(UpdatePostRequest { id, conditions, update }): Valid<UpdatePostRequest>,
) -> ApiResult<Response> {
    let (tags, precondition) = (app.entity_tags().await?, conditions.precondition(&app).await?);
    let bytes = update.byte_len();
    let update = app.store.update_post(writer.caller, PostId(id.as_id()), update, precondition);
    let updated = writer.run(bytes, update).await?;
    let updated = changed(&app, writer.caller, client, updated)?;
    let updated_bytes = updated.post.byte_len();
    let respond = move || {
        let tag = tags.of_post(&updated);
        with_tag(Json(Post::from(updated.post)).into_response(), tag)
    };
    app.large_work.run(updated_bytes, respond).await
}

/// Delete a post
///
/// Deletes a post with its votes.
#[utoipa::path(
    delete, path = "/posts/{id}", operation_id = "delete_post_posts__id__delete", tag = "Posts",
    params(
        ("id" = i64, Path, description = "The ID of the post"), IdempotencyKeyHeader, ConditionHeaders
    ),
    responses(
        (status = 204, description = "Successful Response",
            headers((
                "Idempotent-Replayed" = bool, description = "True if an earlier request did this"
            ))),
        (status = 403, description = "The post belongs to another user", body = ErrorBody,
            example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such post", body = ErrorBody,
            example = json!({"detail": "post with id does not exist"})),
        (status = 409, description = "A table that the operator has added refers to the post",
            body = ErrorBody,
            example = json!({"detail": "other data refers to this, so it cannot be deleted"})),
        TokenErrors, PreconditionErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn delete_post(
    State(app): State<Arc<AppState>>,
    writer: Writer,
    client: ClientIp,
    Valid(Keyed { input, key }): Valid<Keyed<DeletePostRequest>>,
) -> ApiResult<Response> {
    let DeletePostRequest { id, conditions } = input;
    let precondition = conditions.precondition(&app).await?;
    let (caller, id, now) = (writer.caller, PostId(id.as_id()), app.clock.now());
    let delete = async {
        match key {
            None => app.store.delete_post(caller, id, precondition).await.map(Once::Done),
            Some(key) => app.store.delete_post_once(caller, id, key, now).await,
        }
    };
    let (deleted, replay) = replay::outcome(writer.run(0, delete).await?)?;
    changed(&app, caller, client, deleted)?;
    Ok(replay.mark(StatusCode::NO_CONTENT))
}

fn changed<T>(
    app: &Arc<AppState>,
    caller: Caller,
    client: ClientIp,
    outcome: ChangePost<T>,
) -> ApiResult<T> {
    match outcome {
        ChangePost::Changed(changed) => Ok(changed),
        ChangePost::NotOwner => {
            audit::record_refusal(app, client, Some(caller.user_id), EventKind::OwnershipRefused);
            Err(ApiError::NotOwner)
        }
        ChangePost::PreconditionFailed => Err(ApiError::PreconditionFailed),
        ChangePost::NoSuchPost => Err(ApiError::NoSuchPostToChange),
    }
}

fn content_text(value: &Value) -> Result<Text, FieldError> {
    stored_text(text(value)?)
}
