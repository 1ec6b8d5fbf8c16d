//! The list of posts. Not here: its query, see `post_list_request.rs`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use utoipa::ToSchema;

use super::post_include::IncludedPart;
use super::post_list_request::{ListPostsRequest, MAX_LIMIT};
use super::post_types::PostOut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{PostReader, Valid};
use crate::api::find_ranking::find_ranking;
use crate::api::responses::{Failures, TokenErrors, ValidationErrors, revalidated};
use crate::api::state::AppState;
use crate::client_limits::RequestPermit;
use crate::domain::caller::Caller;
use crate::domain::page::{Neighbours, Page, Position, PostScope};
use crate::domain::post::{PostId, PostWithVotes};
use crate::domain::ranking::Ranking;
use crate::store::page_limits::PAGE_BYTES;
use crate::store::{PostList, StoreError};

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
            description = "The order. `top` has the most votes first, `hot` weighs votes against \
                age; their order is up to a minute old. A search has the newest first. `top` and \
                `hot` go with `limit`, `skip`, `include` and `cursor` only, and `top` with `window`"),
        ("window" = inline(Option<PostWindow>), Query,
            description = "With `sort=top`, only posts created in the last 1, 7, 30 or 365 days"),
        ("owner" = Option<String>, Query,
            description = "Only posts of this user: an ID, or `me` for the caller"),
        // Swagger UI would send an example as the value.
        ("since" = Option<String>, Query, format = DateTime,
            description = "Only posts created at or after this time, such as `2025-01-31T12:00:00Z`"),
        ("until" = Option<String>, Query, format = DateTime,
            description = "Only posts created before this time, such as \
                `2025-02-01T00:00:00+01:00`"),
        ("include" = Option<Vec<IncludedPart>>, Query, style = Form, explode = false,
            description = "`my_vote` adds the vote of the caller, `owner` the owner with its name"),
        ("cursor" = Option<String>, Query,
            description = "The position of a page, from a link of this list. Links contain it"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<PostOut>,
            headers(
                ("Link" = String, description =
                    "The next page, the previous page and the first page (RFC 8288), as paths: \
                     `</posts?limit=2&cursor=Zk9…>; rel=\"next\", </posts?limit=2&cursor=aP0…>; \
                     rel=\"prev\", </posts?limit=2>; rel=\"first\"`. The page before the newest \
                     posts has those that are written later"),
                ("Cache-Control" = String,
                    description = "`private, no-cache`; with drafts `no-store`")
            )),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_posts(
    State(app): State<Arc<AppState>>,
    PostReader(caller): PostReader,
    Extension(permit): Extension<RequestPermit>,
    Valid(request): Valid<ListPostsRequest>,
) -> ApiResult<Response> {
    let page = request.page(&app, caller).await?;
    let is_public = page.scope == PostScope::Public;
    let (posts, neighbours) = if let Some(ranking) = request.ranking {
        list_ranked(&app, caller, page, ranking).await?
    } else {
        let posts = read_posts(&app, caller, page.clone()).await;
        let posts = posts.map_err(|error| ApiError::of_field(&["query", "search"], error))?;
        // Without a limit, and with the limit 0, there are no other pages.
        let has_pages = page.limit.is_some_and(|limit| limit > 0);
        let neighbours = has_pages.then(|| page.neighbours(&posts, posts.end(&page)));
        (posts, neighbours)
    };
    let is_public = is_public && posts.iter().all(|found| found.post.published);
    let parts = request.include.find(&app, caller, &posts).await?;
    let added = (!parts.is_empty()).then(|| parts.byte_len(&posts));
    let show = move |posts: &[PostWithVotes]| {
        posts.iter().cloned().map(|found| parts.show(found)).collect::<Vec<_>>()
    };
    let tags = app.entity_tags().await?;
    let mut response = app.large_work.write_list(permit, posts, tags, added, show).await?;
    if let Some(neighbours) = neighbours {
        request.list.add_link(&app, neighbours, &mut response).await?;
    }
    Ok(if is_public { revalidated(response, caller) } else { response })
}

/// Reads a page as the client sees it: without a caller it has no drafts.
async fn read_posts(
    app: &AppState,
    caller: Option<Caller>,
    page: Page,
) -> Result<PostList, StoreError> {
    match caller {
        Some(caller) => app.store.list_posts(caller, page).await,
        None => app.store.list_public_posts(page).await,
    }
}

/// Returns a page of a ranking, of at most [`MAX_LIMIT`] posts. Posts that have gone since the
/// ranking was computed, and drafts that the client does not see, are left out.
async fn list_ranked(
    app: &Arc<AppState>,
    caller: Option<Caller>,
    page: Page,
    ranking: Ranking,
) -> ApiResult<(PostList, Option<Neighbours>)> {
    let entries = find_ranking(app, ranking).await?;
    let start = match page.position {
        Some(Position { key, id, .. }) => entries.partition_point(|entry| *entry >= (key, id)),
        None => usize::try_from(page.skip).unwrap_or(usize::MAX),
    };
    let limit = page.limit.map_or(MAX_LIMIT, |limit| limit.min(MAX_LIMIT));
    let rest = entries.get(start..).unwrap_or_default();
    let length = rest.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    let shown = rest.get(..length).unwrap_or_default();
    let ids = Some(shown.iter().map(|(_, id)| PostId(*id)).collect());
    let limit = Some(u32::try_from(length).unwrap_or(limit));
    let read = Page { ids, limit, skip: 0, position: None, ..page.clone() };
    let posts = read_posts(app, caller, read).await?;
    let ends_early = posts.len() < length && posts.byte_len() >= PAGE_BYTES;
    let last = match posts.last() {
        Some(last) if ends_early => shown.iter().find(|(_, id)| *id == last.post.id.0),
        _ => shown.last().filter(|_| length < rest.len()),
    };
    let next = last.map(|&(key, id)| Position { is_backward: false, key, id });
    let has_pages = page.limit != Some(0);
    Ok((posts, has_pages.then_some(Neighbours { next, previous: None })))
}

/// The values of `sort`.
#[derive(ToSchema)]
#[schema(title = "PostSort")]
#[expect(dead_code, reason = "the schema of a parameter")]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum PostSort {
    Newest,
    Oldest,
    Top,
    Hot,
}

/// The values of `window`.
#[derive(ToSchema)]
#[schema(title = "PostWindow")]
#[expect(dead_code, reason = "the schema of a parameter")]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum PostWindow {
    All,
    Day,
    Week,
    Month,
    Year,
}
