//! Votes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, TokenRefusals, ValidationRefusals,
};
use crate::domain::post::PostId;
use crate::domain::vote::{self, Direction, VoteOutcome};
use crate::http::{
    ApiError, AppState, BodyKind, FieldError, FromRequestFields, Json, JsonInteger, RequestFields,
    Valid, Writer, integer,
};

/// What the caller wants done about their vote on a post.
#[derive(Deserialize, ToSchema)]
#[schema(title = "Vote", example = json!({"post_id": 1, "dir": 1}))]
#[expect(dead_code, reason = "it describes what Ballot reads")]
pub(super) struct Vote {
    post_id: i64,
    /// 1 votes up, -1 votes down, 0 withdraws the vote.
    #[schema(minimum = -1, maximum = 1)]
    dir: i64,
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[schema(title = "VoteResult", example = json!({"message": "successfully added vote"}))]
pub(super) struct VoteResult {
    message: &'static str,
}

/// A vote that fits.
pub(super) struct VoteRequest {
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

/// Vote
///
/// Casts, turns or withdraws the caller's vote: at most one for each post.
#[utoipa::path(
    post, path = "/vote/", operation_id = "vote_vote__post", tag = "Votes",
    request_body = Vote,
    responses(
        (status = 201, description = "Successful Response", body = VoteResult),
        (status = 404, description = "No such post, or no vote to withdraw", body = Refusal,
            example = json!({"detail": "Vote does not exist"})),
        (status = 409, description = "The vote was cast before", body = Refusal,
            example = json!({"detail": "user 3 has already voted on post 7"})),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn cast_vote(
    State(app): State<Arc<AppState>>,
    Writer(caller): Writer,
    Valid(ballot): Valid<VoteRequest>,
) -> ApiResult<(StatusCode, Json<VoteResult>)> {
    let Some(post_id) = ballot.post_id.as_i64().map(PostId) else {
        app.store.find_caller(caller).await?;
        return Err(ApiError::NoSuchPostToVoteOn(ballot.post_id));
    };
    let vote = vote::Vote { post_id, direction: ballot.direction };
    let message = match app.store.cast_vote(caller, vote).await? {
        VoteOutcome::Added => "successfully added vote",
        VoteOutcome::Changed => "successfully changed vote",
        VoteOutcome::Withdrawn => "successfully deleted vote",
        VoteOutcome::AlreadyCast => return Err(ApiError::AlreadyVoted(caller.user_id, post_id)),
        VoteOutcome::NotCast => return Err(ApiError::NoSuchVote),
        VoteOutcome::NoSuchPost => return Err(ApiError::NoSuchPostToVoteOn(ballot.post_id)),
    };
    Ok((StatusCode::CREATED, Json(VoteResult { message })))
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
