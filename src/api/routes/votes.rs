//! Votes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{
    BodyKind, FieldError, FromRequestFields, JsonInteger, Keyed, Repeatable, RequestFields, integer,
};
use crate::api::json_response::Json;
use crate::api::replay::{self, IdempotencyKeyHeader};
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, ErrorBody, Failures, RateLimitErrors, TokenErrors,
    ValidationErrors,
};
use crate::api::state::AppState;
use crate::api::writer::Writer;
use crate::domain::idempotency_key::Fingerprint;
use crate::domain::post::PostId;
use crate::domain::vote::{self, Direction};
use crate::store::{Once, VoteOutcome};

/// The body of a vote.
#[derive(Deserialize, ToSchema)]
#[schema(title = "Vote", example = json!({"post_id": 1, "dir": 1}))]
#[expect(dead_code, reason = "the schema of VoteRequest")]
pub(in crate::api) struct Vote {
    post_id: i64,
    /// 1 votes up, -1 votes down, 0 withdraws the vote.
    #[schema(minimum = -1, maximum = 1)]
    dir: i64,
}

/// The result of a vote.
#[derive(Serialize, ToSchema)]
#[schema(title = "VoteResult", example = json!({"message": "successfully added vote"}))]
pub(in crate::api) struct VoteResult {
    message: &'static str,
}

/// A validated vote.
pub(in crate::api) struct VoteRequest {
    post_id: JsonInteger,
    direction: Option<Direction>,
}

impl FromRequestFields for VoteRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let body = request.object(None)?;
        let post_id = request.required(&body, "post_id", integer);
        let direction = request.required(&body, "dir", direction);
        Some(Self { post_id: post_id?, direction: direction? })
    }
}

impl Repeatable for VoteRequest {
    fn fingerprint(&self) -> Fingerprint {
        let direction = self.direction.map_or(0, Direction::value);
        let values = [self.post_id.as_id().to_be_bytes(), direction.to_be_bytes()];
        Fingerprint::of("POST /vote", &[&values[0], &values[1]])
    }
}

/// Vote on a post
///
/// Casts, changes or withdraws the vote of the caller. A user has at most one vote per post.
#[utoipa::path(
    post, path = "/vote/", operation_id = "vote_vote__post", tag = "Votes",
    params(IdempotencyKeyHeader),
    request_body = Vote,
    responses(
        (status = 201, description = "Successful Response", body = VoteResult,
            headers((
                "Idempotent-Replayed" = bool, description = "True if an earlier request did this"
            ))),
        (status = 404, description = "No such post, or no vote to withdraw", body = ErrorBody,
            examples(
                ("No post" = (value = json!({"detail": "Post with id: 7 does not exist"}))),
                ("No vote" = (value = json!({"detail": "Vote does not exist"})))
            )),
        (status = 409, description = "The same vote exists already", body = ErrorBody,
            example = json!({"detail": "user 3 has already voted on post 7"})),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn cast_vote(
    State(app): State<Arc<AppState>>,
    writer: Writer,
    Valid(Keyed { input: request, key }): Valid<Keyed<VoteRequest>>,
) -> ApiResult<Response> {
    let post_id = PostId(request.post_id.as_id());
    let vote = vote::Vote { post_id, direction: request.direction };
    let caller = writer.caller;
    let cast = async {
        match key {
            None => app.store.cast_vote(caller, vote).await.map(Once::Done),
            Some(key) => app.store.cast_vote_once(caller, vote, key, app.clock.now()).await,
        }
    };
    let (outcome, replay) = replay::outcome(writer.run(0, cast).await?)?;
    let message = match outcome {
        VoteOutcome::Added => "successfully added vote",
        VoteOutcome::Changed => "successfully changed vote",
        VoteOutcome::Withdrawn => "successfully deleted vote",
        VoteOutcome::AlreadyCast => return Err(ApiError::AlreadyVoted(caller.user_id, post_id)),
        VoteOutcome::NotCast => return Err(ApiError::NoSuchVote),
        VoteOutcome::NoSuchPost => return Err(ApiError::NoSuchPostToVoteOn(request.post_id)),
    };
    Ok(replay.mark((StatusCode::CREATED, Json(VoteResult { message }))))
}

fn direction(value: &Value) -> Result<Option<Direction>, FieldError> {
    let number = integer(value)?;
    if number.compare(-1).is_lt() {
        let message = "Input should be greater than or equal to -1";
        return Err(FieldError::new("greater_than_equal", message).with("ge", -1));
    }
    if number.compare(1).is_gt() {
        let message = "Input should be less than or equal to 1";
        return Err(FieldError::new("less_than_equal", message).with("le", 1));
    }
    Ok(match number.as_i64() {
        Some(1) => Some(Direction::Up),
        Some(-1) => Some(Direction::Down),
        _ => None,
    })
}
