//! The query of the list of posts. Not here: the list itself, see `post_list.rs`.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::post_include::PostInclude;
use crate::api::error::{ApiError, ApiResult};
use crate::api::input::{
    BodyKind, FieldError, FromRequestFields, JsonInteger, RequestFields, boolean,
    integer_from_text, stored_text, time_from_text,
};
use crate::api::link::{PagedList, reject_query};
use crate::api::state::AppState;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, PostOrder, PostScope, TimeRange};
use crate::domain::policy::DraftVisibility;
use crate::domain::ranking::{Ranking, Window};
use crate::domain::user::UserId;

/// Maximum of `limit`, unless the policy allows unlimited lists.
pub(in crate::api) const MAX_LIMIT: u32 = 1000;

/// Maximum of `skip`, unless the policy allows unlimited lists: the database passes over all skipped
/// posts. A search has a limit of its own, [`crate::store::page_limits::MAX_SEARCH_SKIP`].
pub(in crate::api) const MAX_SKIP: u64 = 10_000;

/// The validated query for a list of posts.
pub(in crate::api) struct ListPostsRequest {
    page: Page,
    /// The order, unless it is that of the page.
    pub(super) ranking: Option<Ranking>,
    owner: Option<Owner>,
    cursor: Option<String>,
    pub(super) list: PagedList,
    pub(super) include: PostInclude,
}

/// The value of `sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sort {
    #[default]
    Newest,
    Oldest,
    Top,
    Hot,
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
        let sort = request.query("sort", sort);
        let window = request.query("window", window);
        let owner = request.query("owner", owner);
        let since = request.query("since", time_from_text);
        let until = request.query("until", time_from_text);
        let include = PostInclude::read(request);
        let cursor = request.query_text("cursor").filter(|cursor| !cursor.is_empty());

        let limit = limit?.unwrap_or(policy.posts_default_limit);
        let skip = skip?.unwrap_or(Some(0));
        let search = search?.flatten();
        let (sort, window) = (sort?.unwrap_or_default(), window?);
        let published = published?;
        let (order, ranking) = match sort {
            Sort::Newest => (PostOrder::Newest, None),
            Sort::Oldest => (PostOrder::Oldest, None),
            Sort::Top => (PostOrder::Newest, Some(Ranking::Top(window.unwrap_or_default()))),
            Sort::Hot => (PostOrder::Newest, Some(Ranking::Hot)),
        };
        reject_combinations(request, sort, search.is_some(), published, window);
        if cursor.is_some() && skip != Some(0) {
            request.reject_query("cursor", "skip goes with no cursor");
        }
        let (owner, since, until) = (owner?, since?, until?);
        let page = Page {
            // No database has so many posts, so none is read.
            limit: if skip.is_some() { limit } else { Some(0) },
            skip: skip.unwrap_or(0),
            search,
            scope: match published {
                Some(false) => PostScope::OwnDrafts,
                Some(true) | None => PostScope::Public,
            },
            order,
            owner: None,
            created: (since.is_some() || until.is_some()).then(|| TimeRange::new(since, until)),
            position: None,
            ids: None,
        };
        let repeated =
            ["limit", "search", "published", "sort", "window", "owner", "since", "until"];
        let include = include?;
        let parameters = repeated.map(|name| (name, request.query_text(name)));
        let parameters = parameters.into_iter().chain([("include", include.parameter())]);
        let list = PagedList::new("/posts", parameters, list_name(&page, ranking, owner));
        Some(Self { page, ranking, owner, cursor, list, include })
    }
}

/// Records the parameters that do not go together with `sort` or `window`.
fn reject_combinations(
    request: &mut RequestFields<'_>,
    sort: Sort,
    has_search: bool,
    published: Option<bool>,
    window: Option<Window>,
) {
    let is_ranked = matches!(sort, Sort::Top | Sort::Hot);
    if has_search && sort != Sort::Newest {
        request.reject_query("sort", "search goes with no other sort than newest");
    } else if is_ranked && published == Some(false) {
        request.reject_query("sort", "sort=top and sort=hot go with no published=false");
    }
    if window.is_some() && sort != Sort::Top {
        request.reject_query("window", "window goes with sort=top only");
    }
    for name in ["owner", "since", "until"] {
        if is_ranked && request.query_text(name).is_some() {
            request.reject_query(name, "sort=top and sort=hot go with no owner and no time");
        }
    }
}

/// Returns a text that differs for different lists.
fn list_name(page: &Page, ranking: Option<Ranking>, owner: Option<Owner>) -> String {
    let mut name = "posts".to_owned();
    // Writing to a string cannot fail.
    let _ = write_list_name(&mut name, page, ranking, owner);
    name
}

fn write_list_name(
    name: &mut String,
    page: &Page,
    ranking: Option<Ranking>,
    owner: Option<Owner>,
) -> fmt::Result {
    if let Some(ranking) = ranking {
        write!(name, " {ranking:?}")?;
    }
    if page.scope == PostScope::OwnDrafts {
        name.push_str(" drafts");
    }
    if page.order == PostOrder::Oldest {
        name.push_str(" oldest");
    }
    match owner {
        None => {}
        Some(Owner::Caller) => name.push_str(" me"),
        Some(Owner::User(UserId(id))) => write!(name, " owner {id}")?,
    }
    if let Some(TimeRange { from, to }) = page.created {
        write!(name, " created {from} {to}")?;
    }
    // The last part, because it is any text.
    if let Some(text) = page.searched() {
        write!(name, " search {text}")?;
    }
    Ok(())
}

impl ListPostsRequest {
    /// Whether the request is about the caller, so that it needs one.
    fn needs_caller(&self) -> bool {
        self.page.scope == PostScope::OwnDrafts
            || matches!(self.owner, Some(Owner::Caller))
            || self.include.needs_caller()
    }

    /// Returns the page that the caller asks for.
    ///
    /// # Errors
    /// [`ApiError::NotAuthenticated`] if the request needs a caller and there is none.
    pub(super) async fn page(&self, app: &AppState, caller: Option<Caller>) -> ApiResult<Page> {
        if caller.is_none() && self.needs_caller() {
            return Err(ApiError::NotAuthenticated);
        }
        let owner = match self.owner {
            Some(Owner::User(owner)) if self.page.scope == PostScope::OwnDrafts => {
                if caller.is_some_and(|caller| owner != caller.user_id) {
                    let reason = "published=false goes with no other owner";
                    let value = owner.0.to_string();
                    return Err(reject_query(app, caller, "owner", &value, reason).await);
                }
                Some(owner)
            }
            Some(Owner::User(owner)) => Some(owner),
            Some(Owner::Caller) => caller.map(|caller| caller.user_id),
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

/// Accepts numbers up to [`MAX_LIMIT`].
pub(super) fn bounded_limit(text: &str) -> Result<u32, FieldError> {
    limit(text, true).map(|limit| limit.unwrap_or(MAX_LIMIT))
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

fn sort(text: &str) -> Result<Sort, FieldError> {
    match text {
        "newest" => Ok(Sort::Newest),
        "oldest" => Ok(Sort::Oldest),
        "top" => Ok(Sort::Top),
        "hot" => Ok(Sort::Hot),
        _ => Err(not_one_of("'newest', 'oldest', 'top' or 'hot'")),
    }
}

fn window(text: &str) -> Result<Window, FieldError> {
    match text {
        "all" => Ok(Window::All),
        "day" => Ok(Window::Day),
        "week" => Ok(Window::Week),
        "month" => Ok(Window::Month),
        "year" => Ok(Window::Year),
        _ => Err(not_one_of("'all', 'day', 'week', 'month' or 'year'")),
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
