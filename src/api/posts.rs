//! Posts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::audit;
use super::post_types::{Post, PostCreate, PostOut};
use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, TokenRefusals, ValidationRefusals,
    created,
};
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;
use crate::domain::post::{PostContent, PostId};
use crate::domain::text::Text;
use crate::http::{
    ApiError, AppState, BodyKind, Client, FieldError, FromRequestFields, Json, JsonInteger,
    RequestFields, Valid, Writer, boolean, stored_text, text,
};
use crate::store::ChangePost;

/// What an author writes.
pub(super) struct CreatePostRequest(PostContent);

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

/// The number of a post in the path.
pub(super) struct PostPath(JsonInteger);

impl FromRequestFields for PostPath {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        request.path_integer("id").map(Self)
    }
}

/// A post in the path and what is to stand in it.
pub(super) struct ReplacePostRequest {
    id: JsonInteger,
    content: PostContent,
}

impl FromRequestFields for ReplacePostRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let CreatePostRequest(content) = CreatePostRequest::read(request)?;
        Some(Self { id: id?, content })
    }
}

/// Create Posts
///
/// Adds a post of the caller's.
#[utoipa::path(
    post, path = "/posts", operation_id = "create_posts_posts_post", tag = "Posts",
    request_body = PostCreate,
    responses(
        (status = 201, description = "Successful Response", body = Post,
            headers(("Location" = String, description = "Where the post is"))),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn create_post(
    State(app): State<Arc<AppState>>,
    Writer(caller): Writer,
    Valid(CreatePostRequest(content)): Valid<CreatePostRequest>,
) -> ApiResult<Response> {
    let post = app.store.create_post(caller, content, app.clock.now()).await?;
    Ok(created(&format!("{}/posts/{}", app.root_path, post.id.0), Post::from(post)))
}

/// Get Post
///
/// A post with its votes. A draft exists for its owner only.
#[utoipa::path(
    get, path = "/posts/{id}", operation_id = "get_post_posts__id__get", tag = "Posts",
    params(("id" = i64, Path, description = "The post's number")),
    responses(
        (status = 200, description = "Successful Response", body = PostOut),
        (status = 404, description = "No such post", body = Refusal,
            example = json!({"detail": "the post with the id:7 was no found"})),
        TokenRefusals, ValidationRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn get_post(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Valid(PostPath(id)): Valid<PostPath>,
) -> ApiResult<Json<PostOut>> {
    let Some(known) = id.as_i64().map(PostId) else {
        app.store.find_caller(caller).await?;
        return Err(ApiError::NoSuchPost(id));
    };
    let found = app.store.find_post(caller, known).await?.ok_or(ApiError::NoSuchPost(id))?;
    Ok(Json(found.into()))
}

/// Update Post
///
/// Replaces title, content and published; an absent `published` becomes true.
#[utoipa::path(
    put, path = "/posts/{id}", operation_id = "update_post_posts__id__put", tag = "Posts",
    params(("id" = i64, Path, description = "The post's number")),
    request_body = PostCreate,
    responses(
        (status = 200, description = "Successful Response", body = Post),
        (status = 403, description = "The post is somebody else's", body = Refusal,
            example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such post", body = Refusal,
            example = json!({"detail": "post with id does not exist"})),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn replace_post(
    State(app): State<Arc<AppState>>,
    Writer(caller): Writer,
    client: Client,
    Valid(replacement): Valid<ReplacePostRequest>,
) -> ApiResult<Json<Post>> {
    let id = known_post(&app, caller, &replacement.id).await?;
    let replaced = app.store.replace_post(caller, id, replacement.content).await?;
    changed(&app, caller, client, replaced).map(|post| Json(post.into()))
}

/// Delete Post
///
/// Removes a post with its votes.
#[utoipa::path(
    delete, path = "/posts/{id}", operation_id = "delete_post_posts__id__delete", tag = "Posts",
    params(("id" = i64, Path, description = "The post's number")),
    responses(
        (status = 204, description = "Successful Response"),
        (status = 403, description = "The post is somebody else's", body = Refusal,
            example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such post", body = Refusal,
            example = json!({"detail": "post with id does not exist"})),
        TokenRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn delete_post(
    State(app): State<Arc<AppState>>,
    Writer(caller): Writer,
    client: Client,
    Valid(PostPath(id)): Valid<PostPath>,
) -> ApiResult<StatusCode> {
    let id = known_post(&app, caller, &id).await?;
    let deleted = app.store.delete_post(caller, id).await?;
    changed(&app, caller, client, deleted)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A number that a post can have; of any other there is no post to change.
async fn known_post(app: &AppState, caller: Caller, id: &JsonInteger) -> ApiResult<PostId> {
    if let Some(id) = id.as_i64() {
        return Ok(PostId(id));
    }
    app.store.find_caller(caller).await?;
    Err(ApiError::NoSuchPostToChange)
}

fn changed<T>(
    app: &Arc<AppState>,
    caller: Caller,
    client: Client,
    outcome: ChangePost<T>,
) -> ApiResult<T> {
    match outcome {
        ChangePost::Changed(changed) => Ok(changed),
        ChangePost::NotOwner => {
            audit::record_refusal(app, client, Some(caller.user_id), EventKind::OwnershipRefused);
            Err(ApiError::NotOwner)
        }
        ChangePost::NoSuchPost => Err(ApiError::NoSuchPostToChange),
    }
}

fn content_text(value: &Value) -> Result<Text, FieldError> {
    stored_text(text(value)?)
}
