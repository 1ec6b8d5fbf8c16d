//! The list of posts.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;

use super::post_types::PostOut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{
    BodyKind, FieldError, FromRequestFields, JsonInteger, RequestFields, boolean,
    integer_from_text, stored_text, time_from_text,
};
use crate::api::link::{PagedList, reject_query};
use crate::api::responses::{Failures, TokenErrors, ValidationErrors};
use crate::api::state::AppState;
use crate::client_limits::RequestPermit;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostOrder, PostScope, TimeRange};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostWithVotes;
use crate::domain::user::UserId;

/// Maximum of `limit`, unless the policy allows unlimited lists.
pub(in crate::api) const MAX_LIMIT: u32 = 1000;

/// Maximum of `skip`, unless the policy allows unlimited lists: the database passes over all skipped
/// posts. A search has a limit of its own, [`crate::store::page_limits::MAX_SEARCH_SKIP`].
pub(in crate::api) const MAX_SKIP: u64 = 10_000;

/// The validated query for a list of posts.
pub(in crate::api) struct ListPostsRequest {
    page: Page,
    owner: Option<Owner>,
    cursor: Option<String>,
    list: PagedList,
}

/// The value of `owner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Caller,
    User(UserId),
}

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
        let order = request.query("sort", order);
        let owner = request.query("owner", owner);
        let since = request.query("since", time_from_text);
        let until = request.query("until", time_from_text);
        let cursor = request.query_text("cursor").filter(|cursor| !cursor.is_empty());

        let limit = limit?.unwrap_or(policy.posts_default_limit);
        let skip = skip?.unwrap_or(Some(0));
        let search = search?.flatten();
        let order = order?.unwrap_or_default();
        if search.is_some() && order == PostOrder::Oldest {
            request.reject_query("sort", "sort=oldest goes with no search");
        }
        if cursor.is_some() && skip != Some(0) {
            request.reject_query("cursor", "skip goes with no cursor");
        }
        let (owner, since, until) = (owner?, since?, until?);
        let page = Page {
            // No database has so many posts, so none is read.
            limit: if skip.is_some() { limit } else { Some(0) },
            skip: skip.unwrap_or(0),
            search,
            scope: match published? {
                Some(false) => PostScope::OwnDrafts,
                Some(true) | None => PostScope::Public,
            },
            order,
            owner: None,
            created: (since.is_some() || until.is_some()).then(|| TimeRange::new(since, until)),
            position: None,
        };
        let repeated = ["limit", "search", "published", "sort", "owner", "since", "until"];
        let parameters = repeated.map(|name| (name, request.query_text(name)));
        let list = PagedList::new("/posts", parameters, list_name(&page, owner));
        Some(Self { page, owner, cursor, list })
    }
}

/// Returns a text that differs for different lists.
fn list_name(page: &Page, owner: Option<Owner>) -> String {
    let mut name = "posts".to_owned();
    if page.scope == PostScope::OwnDrafts {
        name.push_str(" drafts");
    }
    if page.order == PostOrder::Oldest {
        name.push_str(" oldest");
    }
    match owner {
        None => {}
        Some(Owner::Caller) => name.push_str(" me"),
        Some(Owner::User(UserId(id))) => name.push_str(&format!(" owner {id}")),
    }
    if let Some(TimeRange { from, to }) = page.created {
        name.push_str(&format!(" created {from} {to}"));
    }
    // The last part, because it is any text.
    if let Some(text) = page.searched() {
        name.push_str(&format!(" search {text}"));
    }
    name
}

impl ListPostsRequest {
    /// Returns the page that the caller asks for.
    async fn page(&self, app: &AppState, caller: Caller) -> ApiResult<Page> {
        let owner = match self.owner {
            Some(Owner::User(owner)) if self.page.scope == PostScope::OwnDrafts => {
                if owner != caller.user_id {
                    let reason = "published=false goes with no other owner";
                    let value = owner.0.to_string();
                    return Err(reject_query(app, caller, "owner", &value, reason).await);
                }
                Some(owner)
            }
            Some(Owner::User(owner)) => Some(owner),
            Some(Owner::Caller) => Some(caller.user_id),
            None => None,
        };
        let position = match &self.cursor {
            Some(cursor) => Some(self.list.open_cursor(app, caller, cursor).await?),
            None => None,
        };
        // All own drafts have the same owner.
        let owner = owner.filter(|_| self.page.scope == PostScope::Public);
        Ok(Page { owner, position, ..self.page.clone() })
    }
}

/// List posts
///
/// Lists posts with their votes, newest first. Only `published=false` lists drafts: those of the caller.
///
/// The `Link` header leads from page to page. A short page is not the end: the last page has no
/// `next`.
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
        ("sort" = inline(Option<PostSort>), Query,
            description = "The order. `oldest` goes with no `search`"),
        ("owner" = Option<String>, Query, example = "me",
            description = "Only posts of this user: an ID, or `me` for the caller"),
        ("since" = Option<String>, Query, format = DateTime, example = "2025-01-31T12:00:00Z",
            description = "Only posts created at or after this time (RFC 3339, with an offset)"),
        ("until" = Option<String>, Query, format = DateTime, example = "2025-02-01T00:00:00+01:00",
            description = "Only posts created before this time (RFC 3339, with an offset)"),
        ("cursor" = Option<String>, Query,
            description = "The position of a page, from a link of this list. Links contain it"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<PostOut>,
            headers(("Link" = String, description =
                "The next page, the previous page and the first page (RFC 8288), as paths: \
                 `</posts?limit=2&cursor=Zk9…>; rel=\"next\", </posts?limit=2&cursor=aP0…>; \
                 rel=\"prev\", </posts?limit=2>; rel=\"first\"`. The page before the newest \
                 posts has those that are written later"))),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_posts(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Extension(permit): Extension<RequestPermit>,
    Valid(request): Valid<ListPostsRequest>,
) -> ApiResult<Response> {
    let page = request.page(&app, caller).await?;
    let posts = app.store.list_posts(caller, page.clone()).await;
    let posts = posts.map_err(|error| ApiError::of_field(&["query", "search"], error))?;
    // Without a limit, and with the limit 0, there are no other pages.
    let has_pages = page.limit.is_some_and(|limit| limit > 0);
    let neighbours = has_pages.then(|| page.neighbours(&posts, posts.end(&page)));
    let show =
        |posts: &[PostWithVotes]| posts.iter().cloned().map(PostOut::from).collect::<Vec<_>>();
    let mut response = app.large_work.write_list(permit, posts, show).await?;
    if let Some(neighbours) = neighbours {
        request.list.add_link(&app, neighbours, &mut response).await?;
    }
    Ok(response)
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

fn order(text: &str) -> Result<PostOrder, FieldError> {
    match text {
        "newest" => Ok(PostOrder::Newest),
        "oldest" => Ok(PostOrder::Oldest),
        _ => Err(not_one_of("'newest' or 'oldest'")),
    }
}

/// Accepts `me` and every integer. No account has an ID that does not fit into 64 bits.
fn owner(text: &str) -> Result<Owner, FieldError> {
    if text == "me" {
        return Ok(Owner::Caller);
    }
    Ok(Owner::User(UserId(integer_from_text(text)?.as_id())))
}

fn not_one_of(expected: &str) -> FieldError {
    let message = format!("Input should be {expected}");
    FieldError::new("literal_error", message).with("expected", expected)
}

/// The values of `sort`.
#[derive(ToSchema)]
#[schema(title = "PostSort")]
#[expect(dead_code, reason = "the schema of a parameter")]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum PostSort {
    Newest,
    Oldest,
}
