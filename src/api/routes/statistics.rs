//! Statistics for administrators: what the database has, and what this process does.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::admin_lists::AdminErrors;
use crate::api::administration::Counts;
use crate::api::administrator::Administrator;
use crate::api::error::ApiResult;
use crate::api::find_counts::find_counts;
use crate::api::json_response::Json;
use crate::api::responses::{Failures, TokenErrors, serialize_timestamp};
use crate::api::state::AppState;
use crate::domain::administration::{DayCount, RowCount};
use crate::metrics::{Minute, Minutes, resident_memory};

/// Statistics of the service.
#[derive(Serialize, ToSchema)]
#[schema(title = "Statistics")]
pub(in crate::api) struct Statistics {
    /// Null if the database could not count its rows, for example because it is overloaded.
    #[schema(required = true)]
    counts: Option<CountsOut>,
    process: ProcessOut,
    minutes: MinutesOut,
}

/// The rows of the database. They are counted at most once a minute, and all requests share the result.
#[derive(Serialize, ToSchema)]
#[schema(title = "Counts")]
struct CountsOut {
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    counted_at: Timestamp,
    users: CountOut,
    /// Published posts.
    posts: CountOut,
    drafts: CountOut,
    votes: CountOut,
    /// The last 30 days in UTC, oldest first.
    days: Vec<DayOut>,
}

/// A number of rows. Rows of a deleted account count until they are gone.
#[derive(Serialize, ToSchema)]
#[schema(title = "Count")]
struct CountOut {
    count: u64,
    /// False if the number is an estimate: PostgreSQL counts at most a million rows of a table.
    is_exact: bool,
}

/// The accounts and posts that were created on one day in UTC and still exist.
#[derive(Serialize, ToSchema)]
#[schema(title = "Day")]
struct DayOut {
    #[schema(format = Date, example = "2025-01-31")]
    day: String,
    /// New accounts. Null for a day that is older than the newest 100,000 accounts.
    #[schema(required = true)]
    users: Option<u64>,
    /// Published posts, at most 100,000.
    posts: u64,
}

/// The process that gives the response. Other processes on the same database have their own numbers.
#[derive(Serialize, ToSchema)]
#[schema(title = "Process")]
struct ProcessOut {
    #[schema(example = "1.0.0")]
    version: &'static str,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(minimum = 0)]
    uptime_seconds: i64,
    /// Null where the system does not tell it.
    #[schema(required = true)]
    resident_memory_bytes: Option<u64>,
    /// Open streams of changes (`GET /posts/changes`).
    streams: usize,
    queues: Vec<QueueOut>,
}

#[derive(Serialize, ToSchema)]
#[schema(title = "Queue")]
struct QueueOut {
    #[schema(example = "write")]
    queue: &'static str,
    /// Operations that wait.
    waiting: usize,
}

/// The requests to this process in the last 24 hours. Each list has one number for each minute that
/// has ended, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(title = "Minutes")]
struct MinutesOut {
    /// The beginning of the first minute.
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    begin_at: Timestamp,
    requests: Vec<u64>,
    /// Responses 4xx, also 429.
    client_errors: Vec<u64>,
    /// Responses 5xx.
    server_errors: Vec<u64>,
    /// Responses 429 of each rate limit that was reached.
    rate_limited: Vec<LimitOut>,
    /// The median of the times until the head of the response, at most 26 % too high. Null without a
    /// request.
    p50_microseconds: Vec<Option<u32>>,
    p99_microseconds: Vec<Option<u32>>,
}

#[derive(Serialize, ToSchema)]
#[schema(title = "LimitCounts")]
struct LimitOut {
    #[schema(example = "writes")]
    limit: &'static str,
    responses: Vec<u64>,
}

/// Read the statistics
///
/// Returns the numbers of accounts, posts and votes, and the requests of the last 24 hours to the
/// process that responds. Only for administrators.
#[utoipa::path(
    get, path = "/admin/statistics", operation_id = "adminStatistics", tag = "Administration",
    responses(
        (status = 200, description = "Successful Response", body = Statistics),
        TokenErrors, AdminErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn read_statistics(
    State(app): State<Arc<AppState>>,
    _: Administrator,
) -> ApiResult<Response> {
    let counts = find_counts(&app).await?;
    let statistics = Statistics {
        counts: counts.as_deref().map(CountsOut::from),
        process: process(&app),
        minutes: app.administration.traffic.minutes().into(),
    };
    Ok(Json(statistics).into_response())
}

fn process(app: &AppState) -> ProcessOut {
    let started_at = app.administration.started_at;
    let mut queues = vec![QueueOut { queue: "passwords", waiting: app.passwords.queue_length() }];
    let of_store = app.store.queue_lengths().into_iter();
    queues.extend(of_store.map(|(queue, waiting)| QueueOut { queue, waiting }));
    ProcessOut {
        version: env!("CARGO_PKG_VERSION"),
        started_at,
        uptime_seconds: app.clock.now().duration_since(started_at).as_secs().max(0),
        resident_memory_bytes: resident_memory(),
        streams: app.changes.open_streams(),
        queues,
    }
}

impl From<&Counts> for CountsOut {
    fn from(counts: &Counts) -> Self {
        let rows = counts.rows;
        Self {
            counted_at: counts.counted_at,
            users: rows.users.into(),
            posts: rows.posts.into(),
            drafts: rows.drafts.into(),
            votes: rows.votes.into(),
            days: counts.days.iter().map(DayOut::from).collect(),
        }
    }
}

impl From<RowCount> for CountOut {
    fn from(RowCount { count, is_exact }: RowCount) -> Self {
        Self { count, is_exact }
    }
}

impl From<&DayCount> for DayOut {
    fn from(DayCount { begins_at, users, posts }: &DayCount) -> Self {
        let day = begins_at.strftime("%Y-%m-%d").to_string();
        Self { day, users: *users, posts: *posts }
    }
}

impl From<Minutes> for MinutesOut {
    fn from(Minutes { begin_at, minutes }: Minutes) -> Self {
        let mut limits: Vec<&str> = minutes
            .iter()
            .flat_map(|minute| minute.rate_limited.iter().map(|(limit, _)| *limit))
            .collect();
        limits.sort_unstable();
        limits.dedup();
        let of_limit = |limit| {
            let count = |minute: &Minute| {
                minute.rate_limited.iter().find(|(other, _)| *other == limit).map_or(0, |(_, n)| *n)
            };
            LimitOut { limit, responses: minutes.iter().map(count).collect() }
        };
        Self {
            begin_at,
            requests: minutes.iter().map(|minute| minute.requests).collect(),
            client_errors: minutes.iter().map(|minute| minute.client_errors).collect(),
            server_errors: minutes.iter().map(|minute| minute.server_errors).collect(),
            rate_limited: limits.into_iter().map(of_limit).collect(),
            p50_microseconds: minutes.iter().map(|minute| minute.p50).collect(),
            p99_microseconds: minutes.iter().map(|minute| minute.p99).collect(),
        }
    }
}
