//! The list of posts.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use serde_json::Value;

use super::post_types::PostOut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{
    BodyKind, FieldError, FromRequestFields, JsonInteger, RequestFields, boolean,
    integer_from_text, stored_text,
};
use crate::api::responses::{Failures, TokenErrors, ValidationErrors};
use crate::api::state::AppState;
use crate::client_limits::RequestPermit;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostWithVotes;

/// Maximum of `limit`, unless the policy allows unlimited lists.
pub(in crate::api) const MAX_LIMIT: u32 = 1000;

/// Maximum of `skip`, unless the policy allows unlimited lists: the database passes over all skipped
/// posts. A search has a limit of its own, [`crate::store::page_limits::MAX_SEARCH_SKIP`].
pub(in crate::api) const MAX_SKIP: u64 = 10_000;

/// The validated query for a list of posts.
pub(in crate::api) struct ListPostsRequest(Page);

impl FromRequestFields for ListPostsRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let policy = request.policy();
        let is_bounded = policy.posts_default_limit.is_some();
        let limit = request.query("limit", |text| limit(text, is_bounded));
        let has_search = request.query_text("search").is_some_and(|text| !text.is_empty());
        let skip = request.query("skip", |text| skip(text, is_bounded && !has_search));
        let search = request.query("search", search);
        // In the reference service drafts are visible to everyone, and this parameter does not exist.
        let published = match policy.draft_visibility {
            DraftVisibility::Private => request.query("published", published),
            DraftVisibility::Visible => Some(None),
        };
        let limit = limit?.unwrap_or(policy.posts_default_limit);
        let skip = skip?.unwrap_or(Some(0));
        Some(Self(Page {
            // No database has so many posts, so none is read.
            limit: if skip.is_some() { limit } else { Some(0) },
            skip: skip.unwrap_or(0),
            search: search?.flatten(),
            scope: match published? {
                Some(false) => PostScope::OwnDrafts,
                Some(true) | None => PostScope::Public,
            },
        }))
    }
}

/// List posts
///
/// Lists posts with their votes, newest first. Only `published=false` lists drafts: those of the caller.
#[utoipa::path(
    get, path = "/posts", operation_id = "get_posts_posts_get", tag = "Posts",
    params(
        // The policy adds the maximum.
        ("limit" = Option<i64>, Query, minimum = 0, description = "Maximum number of posts"),
        ("skip" = Option<i64>, Query, minimum = 0, description = "Posts to skip at the start"),
        ("search" = Option<String>, Query,
            description = "Only posts whose title contains this text"),
        ("published" = Option<bool>, Query,
            description = "False lists the drafts of the caller"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<PostOut>),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_posts(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Extension(permit): Extension<RequestPermit>,
    Valid(ListPostsRequest(page)): Valid<ListPostsRequest>,
) -> ApiResult<Response> {
    let posts = app.store.list_posts(caller, page).await;
    let posts = posts.map_err(|error| ApiError::of_field(&["query", "search"], error))?;
    let show =
        |posts: &[PostWithVotes]| posts.iter().cloned().map(PostOut::from).collect::<Vec<_>>();
    app.large_work.write_list(permit, posts, show).await
}

/// Accepts numbers up to [`MAX_LIMIT`]. A larger number is an error. If the policy has no default
/// limit, it means all posts (`None`).
fn limit(text: &str, is_bounded: bool) -> Result<Option<u32>, FieldError> {
    let number = not_negative(text)?;
    let limit = number.as_i64().and_then(|number| u32::try_from(number).ok());
    let limit = limit.filter(|limit| *limit <= MAX_LIMIT);
    if limit.is_none() && is_bounded {
        let message = format!("Input should be less than or equal to {MAX_LIMIT}");
        return Err(FieldError::new("less_than_equal", message).with("le", MAX_LIMIT));
    }
    Ok(limit)
}

/// Accepts numbers up to [`MAX_SKIP`] if they are bounded. Returns `None` for a number that does not
/// fit into 64 bits, as the reference service does: it skips every post.
fn skip(text: &str, is_bounded: bool) -> Result<Option<u64>, FieldError> {
    let number = not_negative(text)?;
    let skip = number.as_i64().and_then(|number| u64::try_from(number).ok());
    if is_bounded && skip.is_some_and(|skip| skip > MAX_SKIP) {
        let message = format!("Input should be less than or equal to {MAX_SKIP}");
        return Err(FieldError::new("less_than_equal", message).with("le", MAX_SKIP));
    }
    Ok(skip)
}

fn not_negative(text: &str) -> Result<JsonInteger, FieldError> {
    let number = integer_from_text(text)?;
    if number.compare(0).is_lt() {
        let message = "Input should be greater than or equal to 0";
        return Err(FieldError::new("greater_than_equal", message).with("ge", 0));
    }
    Ok(number)
}

/// Returns `None` for an empty search, which finds every post.
fn search(text: &str) -> Result<Option<String>, FieldError> {
    let text = stored_text(text)?;
    Ok(Some(text.as_str().to_owned()).filter(|text| !text.is_empty()))
}

fn published(text: &str) -> Result<bool, FieldError> {
    boolean(&Value::from(text))
}
