//! The list of posts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use super::post_types::PostOut;
use super::responses::{ApiResult, Failures, TokenRefusals, ValidationRefusals};
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostScope};
use crate::domain::policy::DraftVisibility;
use crate::http::{
    AppState, BodyKind, FieldError, FromRequestFields, JsonInteger, RequestFields, Valid, boolean,
    integer_from_text, stored_text,
};

/// The most posts that a list is asked for at once, where there is a bound.
const MAXIMUM_LIMIT: u32 = 1000;

/// Which posts are asked for.
pub(super) struct Query(Page);

impl FromRequestFields for Query {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let policy = request.policy();
        let is_bounded = policy.posts_default_limit.is_some();
        let limit = request.query("limit", |text| limit(text, is_bounded));
        let skip = request.query("skip", skip);
        let search = request.query("search", search);
        // Where drafts are visible the reference's rules hold: it knows no such parameter.
        let published = match policy.drafts {
            DraftVisibility::Private => request.query("published", published),
            DraftVisibility::Visible => Some(None),
        };
        Some(Self(Page {
            limit: limit?.unwrap_or(policy.posts_default_limit),
            skip: skip?.unwrap_or(0),
            search: search?.flatten(),
            scope: match published? {
                Some(false) => PostScope::OwnDrafts,
                Some(true) | None => PostScope::Public,
            },
        }))
    }
}

/// Get Posts
///
/// Posts with their votes, newest first. Drafts are in no list but that of one's own.
#[utoipa::path(
    get, path = "/posts", operation_id = "get_posts_posts_get", tag = "Posts",
    params(
        ("limit" = Option<i64>, Query, minimum = 0, maximum = 1000,
            description = "At most so many, 100 if absent"),
        ("skip" = Option<u64>, Query, minimum = 0, format = "uint64",
            description = "Left out at the start"),
        ("search" = Option<String>, Query,
            description = "Only titles that contain this, literally"),
        ("published" = Option<bool>, Query,
            description = "False lists one's own drafts"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<PostOut>),
        TokenRefusals, ValidationRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn list_posts(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Valid(Query(page)): Valid<Query>,
) -> ApiResult<Response> {
    let posts = app.store.list_posts(caller, page).await?;
    app.large_responses
        .write(posts, |posts| posts.iter().cloned().map(PostOut::from).collect::<Vec<_>>())
        .await
}

/// Up to [`MAXIMUM_LIMIT`]. A larger number is refused, or where there is no bound means all.
fn limit(text: &str, is_bounded: bool) -> Result<Option<u32>, FieldError> {
    let number = not_negative(text)?;
    let limit = number.as_i64().and_then(|number| u32::try_from(number).ok());
    let limit = limit.filter(|limit| *limit <= MAXIMUM_LIMIT);
    if limit.is_none() && is_bounded {
        let message = format!("Input should be less than or equal to {MAXIMUM_LIMIT}");
        return Err(FieldError::new("less_than_equal", message).with("le", MAXIMUM_LIMIT));
    }
    Ok(limit)
}

/// A number that is too large skips everything there can be.
fn skip(text: &str) -> Result<u64, FieldError> {
    let number = not_negative(text)?;
    Ok(number.as_i64().and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX))
}

fn not_negative(text: &str) -> Result<JsonInteger, FieldError> {
    let number = integer_from_text(text)?;
    if number.compare(0).is_lt() {
        let message = "Input should be greater than or equal to 0";
        return Err(FieldError::new("greater_than_equal", message).with("ge", 0));
    }
    Ok(number)
}

/// A blank search finds everything, as none does.
fn search(text: &str) -> Result<Option<String>, FieldError> {
    let text = stored_text(text)?;
    Ok(Some(text.as_str().to_owned()).filter(|text| !text.is_empty()))
}

fn published(text: &str) -> Result<bool, FieldError> {
    boolean(&Value::from(text))
}
