//! The votes of the caller.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::post_list_request::{MAX_LIMIT, bounded_limit};
use crate::api::error::ApiResult;
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields, integer_from_text};
use crate::api::link::PagedList;
use crate::api::responses::{Failures, TokenErrors, ValidationErrors};
use crate::api::state::AppState;
use crate::api::tagged_json::tagged_json;
use crate::domain::caller::Caller;
use crate::domain::page::{Neighbours, Position};
use crate::domain::post::PostId;
use crate::domain::vote::{CastVote, VotePage};

/// Votes in a list without `limit`.
const DEFAULT_LIMIT: u32 = 100;

/// Maximum number of posts in `posts`.
const MAX_POSTS: usize = 1000;

/// The validated query for a list of votes.
pub(in crate::api) struct ListVotesRequest {
    limit: Option<u32>,
    /// Where the page begins, sealed.
    cursor: Option<String>,
    /// Asks only for the votes on these posts.
    posts: Option<Vec<PostId>>,
}

impl FromRequestFields for ListVotesRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let limit = request.query("limit", bounded_limit);
        let cursor = request.query_text("cursor").filter(|cursor| !cursor.is_empty());
        let posts = request.query_list("posts", MAX_POSTS, |text| {
            integer_from_text(text).map(|number| PostId(number.as_id()))
        });
        let (limit, posts) = (limit?, posts?);
        if cursor.is_some() && posts.is_some() {
            request.reject_query("posts", "posts goes with no cursor");
        }
        Some(Self { limit, cursor, posts })
    }
}

/// A vote of the caller.
#[derive(Serialize, ToSchema)]
#[schema(title = "MyVote", example = json!({"post_id": 9, "dir": 1}))]
pub(in crate::api) struct MyVote {
    post_id: i64,
    #[schema(schema_with = direction)]
    dir: i64,
}

fn direction() -> Object {
    let description = Some("1 for up, -1 for down");
    let values = Some([1, -1]);
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(values)
        .description(description)
        .build()
}

impl From<CastVote> for MyVote {
    fn from(vote: CastVote) -> Self {
        Self { post_id: vote.post_id.0, dir: vote.direction.value() }
    }
}

/// List the own votes
///
/// Lists the votes of the caller, that on the newest post first. Votes on posts that the caller can
/// no longer see are left out.
#[utoipa::path(
    get, path = "/users/me/votes", operation_id = "listMyVotes", tag = "Votes",
    params(
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 1000,
            description = "Maximum number of votes. Without it 100, or with `posts` all"),
        ("cursor" = Option<String>, Query,
            description = "The position of a page, from a link of this list. Goes with no `posts`"),
        ("posts" = Option<Vec<i64>>, Query, style = Form, explode = false,
            min_items = 1, max_items = 1000,
            description = "Lists only the votes on the posts with these IDs, on one page"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<MyVote>,
            headers(("Link" = String, description = "The next and the first page \
                (RFC 8288), as paths. A short page is not the end: the last page has no `next`"))),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_own_votes(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Valid(ListVotesRequest { limit, cursor, posts }): Valid<ListVotesRequest>,
) -> ApiResult<Response> {
    if let Some(posts) = posts {
        let mut votes = app.store.find_votes(caller, posts).await?;
        votes.truncate(usize::try_from(limit.unwrap_or(MAX_LIMIT)).unwrap_or(usize::MAX));
        return respond(&app, votes).await;
    }
    let list = PagedList::new(
        "/users/me/votes",
        [("limit", limit.map(|limit| limit.to_string()))],
        "votes of the caller".to_owned(),
    );
    let before = match &cursor {
        Some(cursor) => Some(PostId(list.open_cursor(&app, Some(caller), cursor).await?.id)),
        None => None,
    };
    let VotePage { votes, next } =
        app.store.list_votes(caller, limit.unwrap_or(DEFAULT_LIMIT), before).await?;
    let mut response = respond(&app, votes).await?;
    if limit != Some(0) {
        let next = next.map(|PostId(id)| Position { is_backward: false, key: 0, id });
        list.add_link(&app, Neighbours { next, previous: None }, &mut response).await?;
    }
    Ok(response)
}

async fn respond(app: &AppState, votes: Vec<CastVote>) -> ApiResult<Response> {
    tagged_json(app, votes.into_iter().map(MyVote::from).collect::<Vec<_>>()).await
}
