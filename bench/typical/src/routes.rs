//! The routes, their errors and their layers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tower::ServiceBuilder;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use crate::caller::{Caller, TokenKey};
use crate::posts_and_votes::{NewPost, Vote, VoteOutcome};
use crate::store::Store;

const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

const MAX_LIMIT: i64 = 100;

#[derive(Clone)]
pub struct App {
    pub store: Store,
    pub key: Arc<TokenKey>,
}

impl FromRef<App> for Store {
    fn from_ref(app: &App) -> Self {
        app.store.clone()
    }
}

pub fn router(app: App) -> Router {
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(HeaderName::from_static("x-request-id"), MakeRequestUuid))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_mins(1),
        ));
    Router::new()
        .route("/posts", get(list_posts).post(create_post))
        .route("/posts/{id}", get(find_post))
        .route("/vote", post(cast_vote))
        .layer(layers)
        .with_state(app)
}

async fn find_post(
    caller: Caller,
    State(store): State<Store>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    let found = store.find_post(caller, id).await?.ok_or(ApiError::InvalidToken)?;
    Ok(Json(found.ok_or(ApiError::NoSuchPost(id))?).into_response())
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default = "default_limit")]
    limit: i64,
}

fn default_limit() -> i64 {
    10
}

async fn list_posts(
    caller: Caller,
    State(store): State<Store>,
    Query(ListQuery { limit }): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let posts = store.list_posts(caller, limit.clamp(0, MAX_LIMIT)).await?;
    Ok(Json(posts.ok_or(ApiError::InvalidToken)?).into_response())
}

async fn create_post(
    caller: Caller,
    State(store): State<Store>,
    Json(new): Json<NewPost>,
) -> Result<Response, ApiError> {
    let post = store.create_post(caller, new).await?.ok_or(ApiError::InvalidToken)?;
    let location = [(header::LOCATION, format!("/posts/{}", post.id))];
    Ok((StatusCode::CREATED, location, Json(post)).into_response())
}

async fn cast_vote(
    caller: Caller,
    State(store): State<Store>,
    Json(vote): Json<Vote>,
) -> Result<Response, ApiError> {
    let post = vote.post_id;
    let message = match store.cast_vote(caller, vote).await?.ok_or(ApiError::InvalidToken)? {
        VoteOutcome::Added => "successfully added vote",
        VoteOutcome::Changed => "successfully changed vote",
        VoteOutcome::AlreadyCast => return Err(ApiError::AlreadyVoted(caller.user_id, post)),
        VoteOutcome::NoSuchPost => return Err(ApiError::NoSuchPostToVoteOn(post)),
    };
    Ok((StatusCode::CREATED, Json(json!({ "message": message }))).into_response())
}

pub enum ApiError {
    NotAuthenticated,
    InvalidToken,
    NoSuchPost(i64),
    NoSuchPostToVoteOn(i64),
    AlreadyVoted(i64, i64),
    Database,
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        eprintln!("the database failed: {error}");
        Self::Database
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "Not authenticated".to_owned()),
            Self::InvalidToken => {
                (StatusCode::UNAUTHORIZED, "Could not validate credentials".to_owned())
            }
            Self::NoSuchPost(id) => {
                (StatusCode::NOT_FOUND, format!("the post with the id:{id} was no found"))
            }
            Self::NoSuchPostToVoteOn(id) => {
                (StatusCode::NOT_FOUND, format!("Post with id: {id} does not exist"))
            }
            Self::AlreadyVoted(user, post) => {
                (StatusCode::CONFLICT, format!("user {user} has already voted on post {post}"))
            }
            Self::Database => {
                (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error".to_owned())
            }
        };
        (status, Json(json!({ "detail": detail }))).into_response()
    }
}
