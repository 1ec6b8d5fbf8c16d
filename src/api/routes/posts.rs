//! Posts: create, read, replace, update, delete.
//!
//! Not here: their requests, see `post_requests.rs`; the list of posts, see `post_list.rs`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::post_include::IncludedPart;
use super::post_requests::{
    CreatePostRequest, DeletePostRequest, GetPostRequest, ReplacePostRequest, UpdatePostRequest,
};
use super::post_types::{Post, PostCreate, PostOut, PostUpdate};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::entity_tag::with_tag;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{PostReader, Valid};
use crate::api::input::{ConditionHeaders, Keyed};
use crate::api::json_response::{Json, json_response_from, to_json};
use crate::api::large_work::count;
use crate::api::replay::{self, IdempotencyKeyHeader, Replay};
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, ErrorBody, Failures, PostChangeErrors, RateLimitErrors,
    TokenErrors, ValidationErrors, created, revalidated,
};
use crate::api::state::AppState;
use crate::api::writer::Writer;
use crate::client_limits::RequestPermit;
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::post::{self, PostId, PostWithVotes, Precondition};
use crate::store::{ChangePost, Once};

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
    params(
        ("id" = i64, Path, description = "The ID of the post"),
        ("include" = Option<Vec<IncludedPart>>, Query, style = Form, explode = false,
            description = "`my_vote` adds the vote of the caller, `owner` the owner with its name"),
    ),
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
    PostReader(caller): PostReader,
    Extension(permit): Extension<RequestPermit>,
    Valid(GetPostRequest { id, include }): Valid<GetPostRequest>,
) -> ApiResult<Response> {
    include.check_caller(caller)?;
    let post_id = PostId(id.as_id());
    let found = match caller {
        Some(caller) => app.store.find_post(caller, post_id).await?,
        None => app.store.find_public_post(post_id).await?,
    };
    let found = found.ok_or(ApiError::NoSuchPost(id))?;
    let parts = include.find(&app, caller, std::slice::from_ref(&found)).await?;
    let bytes = found.post.byte_len();
    count(&permit, bytes)?;
    let (tags, is_public) = (app.entity_tags().await?, found.post.published);
    let respond = move || {
        if parts.is_empty() {
            let tag = tags.of_post(&found);
            return with_tag(Json(PostOut::from(found)).into_response(), tag);
        }
        let json = to_json(bytes, &parts.show(found.clone()));
        let tag = tags.of_post_in_body(&found, &json);
        with_tag(json_response_from(StatusCode::OK, json), tag)
    };
    let response = app.large_work.run(bytes, respond).await?;
    Ok(if is_public { revalidated(response, caller) } else { response })
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
        TokenErrors, BodyErrors, BodyLimitErrors, PostChangeErrors, ValidationErrors, RateLimitErrors,
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
    let change = Change { id: PostId(id.as_id()), precondition, key };
    let (replaced, replay) = change.update(&app, &writer, client, content.into()).await?;
    let post = replaced.post;
    // Without a tag: the texts are stored as they came, but the representation is not the body
    // (RFC 9110, 9.3.4).
    app.large_work.run(post.byte_len(), move || replay.mark(Json(Post::from(post)))).await
}

/// Update a post
///
/// Replaces only the fields that are in the body, a JSON merge patch (RFC 7396). A post has each of its
/// fields, so null is an error.
#[utoipa::path(
    patch, path = "/posts/{id}", operation_id = "updatePost", tag = "Posts",
    params(
        ("id" = i64, Path, description = "The ID of the post"), IdempotencyKeyHeader, ConditionHeaders
    ),
    request_body(content(
        (PostUpdate = "application/json"), (PostUpdate = "application/merge-patch+json")
    )),
    responses(
        (status = 200, description = "Successful Response", body = Post,
            headers(
                ("ETag" = String, description = "The version of the post, with its votes"),
                ("Idempotent-Replayed" = bool, description = "True if an earlier request did this")
            )),
        TokenErrors, BodyErrors, BodyLimitErrors, PostChangeErrors, ValidationErrors, RateLimitErrors,
        Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn update_post(
    State(app): State<Arc<AppState>>,
    writer: Writer,
    client: ClientIp,
    Valid(Keyed { input, key }): Valid<Keyed<UpdatePostRequest>>,
) -> ApiResult<Response> {
    let UpdatePostRequest { id, conditions, update } = input;
    let (tags, precondition) = (app.entity_tags().await?, conditions.precondition(&app).await?);
    let change = Change { id: PostId(id.as_id()), precondition, key };
    // The post is larger than its update, and counts against the client only in the response.
    let _turn = app.large_work.begin_update().await?;
    let (updated, replay) = change.update(&app, &writer, client, update).await?;
    let bytes = updated.post.byte_len();
    let respond = move || {
        let tag = tags.of_post(&updated);
        replay.mark(with_tag(Json(Post::from(updated.post)).into_response(), tag))
    };
    app.large_work.run(bytes, respond).await
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
        (status = 409, description = "A table that the operator has added refers to the post",
            body = ErrorBody,
            example = json!({"detail": "other data refers to this, so it cannot be deleted"})),
        TokenErrors, PostChangeErrors, ValidationErrors, RateLimitErrors, Failures
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
            Some(key) => app.store.delete_post_once(caller, id, precondition, key, now).await,
        }
    };
    let (deleted, replay) = replay::outcome(writer.run(0, delete).await?)?;
    changed(&app, caller, client, deleted)?;
    Ok(replay.mark(StatusCode::NO_CONTENT))
}

/// A change of a post by its author.
struct Change {
    id: PostId,
    precondition: Option<Precondition>,
    key: Option<IdempotencyKey>,
}

impl Change {
    /// Updates the post. Returns it with its votes, as it is then.
    async fn update(
        self,
        app: &Arc<AppState>,
        writer: &Writer,
        client: ClientIp,
        update: post::PostUpdate,
    ) -> ApiResult<(PostWithVotes, Replay)> {
        let Self { id, precondition, key } = self;
        let (store, caller) = (&app.store, writer.caller);
        let (bytes, now) = (update.byte_len(), app.clock.now());
        let write = async {
            match key {
                None => store.update_post(caller, id, update, precondition).await.map(Once::Done),
                Some(key) => {
                    store.update_post_once(caller, id, update, precondition, key, now).await
                }
            }
        };
        let written = writer.run_measured(bytes, write, bytes_written).await?;
        let (updated, replay) = replay::outcome(written)?;
        Ok((changed(app, caller, client, updated)?, replay))
    }
}

/// The store writes the whole post again, whichever part the update has.
fn bytes_written(updated: &Once<ChangePost<PostWithVotes>>) -> usize {
    match updated {
        Once::Done(ChangePost::Changed(updated)) | Once::Replayed(ChangePost::Changed(updated)) => {
            updated.post.byte_len()
        }
        _ => 0,
    }
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
