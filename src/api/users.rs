//! Accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, TokenRefusals, ValidationRefusals,
    created, serialize_timestamp,
};
use crate::auth::{RefusedPassword, accept_password};
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::policy::PasswordRules;
use crate::domain::user::{NewUser, User, UserId};
use crate::http::{
    ApiError, App, BodyKind, Client, Input, Integer, Json, OptionalCaller, Problem, Reading, Valid,
    text,
};
use crate::store::{CreateUser, DeleteUser};

/// What a sign-up sends.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "UserCreate",
    example = json!({"email": "ada@example.com", "password": "plum lantern 83 quay"})
)]
#[expect(dead_code, reason = "it describes what SignUp reads")]
pub(super) struct UserCreate {
    #[schema(format = "email")]
    email: String,
    /// 8 characters or more, not a very common one.
    #[schema(format = "password", min_length = 8, max_length = 4096)]
    password: String,
}

/// The public view of an account.
#[derive(Serialize, ToSchema)]
#[schema(
    title = "UserOut",
    example = json!({"id": 1, "created_at": "2025-01-31T12:00:00.123456Z", "email": "ada@example.com"})
)]
pub(super) struct UserOut {
    id: i64,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null unless the account asks about itself.
    #[schema(format = "email", required = true)]
    email: Option<String>,
}

impl UserOut {
    fn new(user: &User, show_email: bool) -> Self {
        Self {
            id: user.id.0,
            created_at: user.created_at,
            email: show_email.then(|| user.email.as_str().to_owned()),
        }
    }
}

/// A sign-up that fits.
pub(super) struct SignUp {
    email: Email,
    password: SecretString,
}

impl Input for SignUp {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut Reading<'_>) -> Option<Self> {
        let rules = request.policy().passwords;
        let body = request.object(Some("password"))?;
        let email = request.required(&body, "email", email);
        let password = request.required(&body, "password", |value| password(value, rules));
        Some(Self { email: email?, password: password? })
    }
}

/// The number of an account in the path.
pub(super) struct UserPath(Integer);

impl Input for UserPath {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut Reading<'_>) -> Option<Self> {
        request.path_integer("id").map(Self)
    }
}

/// Create User
///
/// Adds an account. No token is needed.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user_users_post", tag = "Users",
    request_body = UserCreate,
    responses(
        (status = 201, description = "Successful Response", body = UserOut,
            headers(("Location" = String, description = "Where the account is"))),
        (status = 409, description = "The address belongs to another account", body = Refusal,
            example = json!({"detail": "a user with this email already exists"})),
        BodyRefusals, ValidationRefusals, RateRefusals, Failures
    )
)]
pub(super) async fn create_user(
    State(app): State<Arc<App>>,
    Client(client): Client,
    Valid(sign_up): Valid<SignUp>,
) -> ApiResult<Response> {
    app.rate_limits.sign_up(client)?;
    let password_hash = app.passwords.hash(sign_up.password).await?;
    let new = NewUser { email: sign_up.email, password_hash, created_at: app.clock.now() };
    match app.store.create_user(new).await? {
        CreateUser::Created(user) => {
            tracing::info!(user = user.id.0, "signed up");
            Ok(created(
                &format!("{}/users/{}", app.root_path, user.id.0),
                UserOut::new(&user, true),
            ))
        }
        CreateUser::EmailTaken => Err(ApiError::EmailTaken),
    }
}

/// Get User
///
/// Anybody may look; the address is shown to the account itself.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "get_user_users__id__get", tag = "Users",
    params(("id" = i64, Path, description = "The account's number")),
    responses(
        (status = 200, description = "Successful Response", body = UserOut),
        (status = 404, description = "No such account", body = Refusal,
            example = json!({"detail": "the user with the id:7 was no found"})),
        ValidationRefusals, Failures
    ),
    security((), ("OAuth2PasswordBearer" = []))
)]
pub(super) async fn get_user(
    State(app): State<Arc<App>>,
    OptionalCaller(caller): OptionalCaller,
    Valid(UserPath(id)): Valid<UserPath>,
) -> ApiResult<Json<UserOut>> {
    let Some(known) = id.as_i64().map(UserId) else {
        return Err(ApiError::NoSuchUser(id));
    };
    let user = app.store.find_user(known).await?.ok_or(ApiError::NoSuchUser(id))?;
    let is_self = caller.is_some_and(|caller| caller.user_id == known);
    Ok(Json(UserOut::new(&user, is_self || app.policy.public_emails)))
}

/// Get Me
///
/// The account that the token names.
#[utoipa::path(
    get, path = "/users/me", operation_id = "get_me_users_me_get", tag = "Users",
    responses(
        (status = 200, description = "Successful Response", body = UserOut),
        TokenRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn get_me(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> ApiResult<Json<UserOut>> {
    let user = app.store.find_user(caller.user_id).await?.ok_or(ApiError::InvalidToken)?;
    Ok(Json(UserOut::new(&user, true)))
}

/// Delete User
///
/// Removes one's own account, with its posts and votes; its tokens end at once.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user_users__id__delete", tag = "Users",
    params(("id" = i64, Path, description = "The account's number")),
    responses(
        (status = 204, description = "Successful Response"),
        (status = 403, description = "The account is somebody else's", body = Refusal,
            example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such account", body = Refusal,
            example = json!({"detail": "the user with the id:7 was no found"})),
        TokenRefusals, ValidationRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn delete_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Valid(UserPath(id)): Valid<UserPath>,
) -> ApiResult<StatusCode> {
    let Some(known) = id.as_i64().map(UserId) else {
        app.store.find_caller(caller).await?;
        return Err(ApiError::NoSuchUser(id));
    };
    match app.store.delete_user(caller, known).await? {
        DeleteUser::Deleted => {
            tracing::info!(user = known.0, "account deleted");
            Ok(StatusCode::NO_CONTENT)
        }
        DeleteUser::NotOwner => Err(ApiError::NotOwner),
        DeleteUser::NoSuchUser => Err(ApiError::NoSuchUser(id)),
    }
}

/// Delete Me
///
/// Removes the account that the token names, with its posts and votes.
#[utoipa::path(
    delete, path = "/users/me", operation_id = "delete_me_users_me_delete", tag = "Users",
    responses(
        (status = 204, description = "Successful Response"),
        TokenRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn delete_me(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> ApiResult<StatusCode> {
    match app.store.delete_user(caller, caller.user_id).await? {
        DeleteUser::Deleted => {
            tracing::info!(user = caller.user_id.0, "account deleted");
            Ok(StatusCode::NO_CONTENT)
        }
        DeleteUser::NotOwner | DeleteUser::NoSuchUser => Err(ApiError::InvalidToken),
    }
}

fn email(value: &Value) -> Result<Email, Problem> {
    Email::parse(text(value)?).map_err(|fault| {
        let message = format!("value is not a valid email address: {}", fault.reason());
        Problem::value_error(message, fault.reason())
    })
}

fn password(value: &Value, rules: PasswordRules) -> Result<SecretString, Problem> {
    accept_password(text(value)?, rules).map_err(|refused| match refused {
        RefusedPassword::TooShort { least } => {
            let message = format!("String should have at least {least} characters");
            Problem::new("string_too_short", message).with("min_length", least)
        }
        RefusedPassword::TooLong { most } => {
            let message = format!("String should have at most {most} characters");
            Problem::new("string_too_long", message).with("max_length", most)
        }
        RefusedPassword::TooCommon => {
            Problem::value_error(format!("Value error, {refused}"), &refused.to_string())
        }
    })
}
