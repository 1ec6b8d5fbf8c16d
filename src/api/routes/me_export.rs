//! The export of the caller's own data, as lines of JSON.
//!
//! The lines are streamed from pages of the store, so an account of any size takes the memory of one
//! page. The export is no snapshot: it may contain or miss a change that is made meanwhile. Every
//! post that exists all the time is in it once.
//!
//! Not here: the export of a whole database, see `cli/export.rs`.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{once, try_unfold};
use serde::Serialize;
use tokio::time::sleep;
use tracing::Instrument as _;
use utoipa::ToSchema;

use super::events::EventOut;
use super::me::Me;
use super::own_votes::MyVote;
use super::post_types::Post;
use super::sessions::SessionOut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::json_response::append_json;
use crate::api::large_work::SMALL_WORK_BYTES;
use crate::api::responses::{Failures, RateLimitErrors, TokenErrors};
use crate::api::state::AppState;
use crate::client_limits::RequestPermit;
use crate::domain::caller::Caller;
use crate::domain::page::{Page, Position};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::error_chain::error_chain;
use crate::store::PostList;

const JSON_LINES: HeaderValue = HeaderValue::from_static("application/jsonl");
const ATTACHMENT: HeaderValue =
    HeaderValue::from_static("attachment; filename=\"post-api-export.jsonl\"");

/// Votes that are read at a time, and the largest number of posts.
const PAGE: u32 = 1000;

/// Size in bytes that a page of posts should have. Larger pages of many exports at the same time would
/// leave no memory to the lists of others.
const PAGE_BYTES: usize = 1024 * 1024;

/// How often a step is tried after the status was sent.
const MAX_TRIES: u32 = 20;

/// Pause before a step is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// A line of an export.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum ExportLine {
    /// The account: the first line.
    User(Me),
    Post(Post),
    Vote(MyVote),
    Session(SessionOut),
    Event(EventOut),
    /// The last line. An export without it was cut off.
    End(ExportEnd),
}

/// The number of lines of each kind.
#[derive(Serialize, ToSchema, Default, Clone, Copy)]
pub(in crate::api) struct ExportEnd {
    posts: u64,
    votes: u64,
    sessions: u64,
    events: u64,
}

/// Export the own data
///
/// Returns the account with all of its posts, drafts, votes, sessions and events as lines of JSON,
/// each an `ExportLine`. The last line is `end`: an export without it was cut off. Votes on posts
/// that the caller can no longer see are left out.
#[utoipa::path(
    get, path = "/users/me/export", operation_id = "exportMe", tag = "Users",
    responses(
        (status = 200, description = "Successful Response", body = String,
            content_type = "application/jsonl",
            headers(("Content-Disposition" = String, description = "A name for the file"))),
        TokenErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn export_me(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Extension(permit): Extension<RequestPermit>,
) -> ApiResult<Response> {
    let (user, verified_at) = app.store.find_me_verified(caller).await?;
    app.rate_limits.check_export(caller.user_id)?;
    let mut lines = Lines { app, caller, permit, counts: ExportEnd::default(), page_limit: 1 };
    // Most failures come before the status is sent.
    let (first, step) = lines.first(Me::exported(&user, verified_at)).await?;
    lines.app.rate_limits.count_export(caller.user_id);
    let span = tracing::Span::current();
    let rest = try_unfold((lines, step), move |(mut lines, step)| {
        let next = async move {
            let next = lines.next(step).await.inspect_err(log_cut_off)?;
            Ok::<_, ApiError>(next.map(|(json, step)| (json, (lines, step))))
        };
        next.instrument(span.clone())
    });
    let stream = once(ready(Ok(first))).chain(rest);
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, JSON_LINES);
    response.headers_mut().insert(CONTENT_DISPOSITION, ATTACHMENT);
    Ok(response)
}

/// The status is sent already, so the client only sees that the response has no end.
fn log_cut_off(error: &ApiError) {
    tracing::warn!(cause = error_chain(error), "export cut off");
}

/// The step after the lines that are written.
#[derive(Clone)]
enum Step {
    FindPosts(Option<Position>),
    /// A page of posts, the index of the next post to write, and the next page.
    Posts(PostList, usize, Option<Position>),
    Votes(Option<PostId>),
    Sessions,
    Events,
    End,
    Finished,
}

struct Lines {
    app: Arc<AppState>,
    caller: Caller,
    /// Counts the page in memory, and ends with the response.
    permit: RequestPermit,
    counts: ExportEnd,
    /// Number of posts in the next page. The first one shows how large posts are.
    page_limit: u32,
}

impl Lines {
    /// Returns the line of the account with the first lines after it, and the step after them.
    async fn first(&mut self, user: Me) -> ApiResult<(Bytes, Step)> {
        let mut json = to_lines([ExportLine::User(user)]).to_vec();
        let Some((lines, step)) = self.try_next(Step::FindPosts(None)).await? else {
            return Ok((json.into(), Step::Finished));
        };
        json.extend_from_slice(&lines);
        Ok((json.into(), step))
    }

    /// Like [`Lines::try_next`], but waits if too much is waiting for the database or a limit on
    /// memory is reached.
    async fn next(&mut self, step: Step) -> ApiResult<Option<(Bytes, Step)>> {
        for _ in 1..MAX_TRIES {
            match self.try_next(step.clone()).await {
                Err(ApiError::Overloaded) => sleep(PAUSE).await,
                next => return next,
            }
        }
        self.try_next(step).await
    }

    /// Returns the next lines, and the step after them. `None` means that the export is complete.
    /// After an error the step can be tried again.
    async fn try_next(&mut self, mut step: Step) -> ApiResult<Option<(Bytes, Step)>> {
        loop {
            let (json, next) = match step {
                Step::FindPosts(position) => (Bytes::new(), self.find_posts(position).await?),
                Step::Posts(posts, from, next) => self.write_posts(posts, from, next).await?,
                Step::Votes(before) => self.write_votes(before).await?,
                Step::Sessions => (self.write_sessions().await?, Step::Events),
                Step::Events => (self.write_events().await?, Step::End),
                Step::End => (to_lines([ExportLine::End(self.counts)]), Step::Finished),
                Step::Finished => return Ok(None),
            };
            if !json.is_empty() {
                return Ok(Some((json, next)));
            }
            step = next;
        }
    }

    async fn find_posts(&mut self, position: Option<Position>) -> ApiResult<Step> {
        // Drafts and published posts are one list, so a post that becomes the other during the
        // export is still in it once.
        let owner = Caller { draft_visibility: DraftVisibility::Visible, ..self.caller };
        let page = Page {
            limit: Some(self.page_limit),
            owner: Some(owner.user_id),
            position,
            ..Page::default()
        };
        let posts = self.app.store.list_posts(owner, page.clone()).await?;
        let average = posts.byte_len() / posts.len().max(1);
        let limit = PAGE_BYTES / average.max(1);
        self.page_limit = u32::try_from(limit).unwrap_or(PAGE).clamp(1, PAGE);
        let next = page.neighbours(&posts, posts.end(&page)).next;
        Ok(Step::Posts(posts, 0, next))
    }

    /// Writes posts until their lines are as long as small work.
    async fn write_posts(
        &mut self,
        posts: PostList,
        from: usize,
        next: Option<Position>,
    ) -> ApiResult<(Bytes, Step)> {
        let Some(first) = posts.get(from) else {
            return Ok((Bytes::new(), next.map_or(Step::Votes(None), |_| Step::FindPosts(next))));
        };
        let bytes = first.post.byte_len();
        self.count(posts.byte_len().saturating_add(bytes))?;
        let write = move || {
            let mut json = Vec::with_capacity(SMALL_WORK_BYTES);
            let mut written = from;
            for found in posts.iter().skip(from) {
                append_line(&mut json, &ExportLine::Post(found.post.clone().into()));
                written += 1;
                if json.len() >= SMALL_WORK_BYTES {
                    break;
                }
            }
            (json, written, posts)
        };
        let (json, written, posts) = self.app.large_work.run(bytes, write).await?;
        self.count(posts.byte_len().saturating_add(json.len()))?;
        self.counts.posts += count(written - from);
        Ok((json.into(), Step::Posts(posts, written, next)))
    }

    async fn write_votes(&mut self, before: Option<PostId>) -> ApiResult<(Bytes, Step)> {
        let page = self.app.store.list_votes(self.caller, PAGE, before).await?;
        let votes = count(page.votes.len());
        let json = to_lines(page.votes.into_iter().map(|vote| ExportLine::Vote(vote.into())));
        self.count(json.len())?;
        self.counts.votes += votes;
        Ok((json, page.next.map_or(Step::Sessions, |next| Step::Votes(Some(next)))))
    }

    async fn write_sessions(&mut self) -> ApiResult<Bytes> {
        let sessions = self.app.store.list_sessions(self.caller, self.app.clock.now()).await?;
        self.counts.sessions = count(sessions.len());
        Ok(to_lines(sessions.into_iter().map(|session| ExportLine::Session(session.into()))))
    }

    async fn write_events(&mut self) -> ApiResult<Bytes> {
        let events = self.app.store.list_events(self.caller).await?;
        self.counts.events = count(events.len());
        Ok(to_lines(events.into_iter().map(|event| ExportLine::Event(event.into()))))
    }

    /// Counts what the export holds now.
    fn count(&self, bytes: usize) -> ApiResult<()> {
        self.permit.set_response(bytes).map(|_| ()).map_err(|_| ApiError::Overloaded)
    }
}

fn to_lines(lines: impl IntoIterator<Item = ExportLine>) -> Bytes {
    let mut json = Vec::new();
    lines.into_iter().for_each(|line| append_line(&mut json, &line));
    json.into()
}

fn append_line(json: &mut Vec<u8>, line: &ExportLine) {
    append_json(json, line);
    json.push(b'\n');
}

fn count(lines: usize) -> u64 {
    u64::try_from(lines).unwrap_or(u64::MAX)
}
