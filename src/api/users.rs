//! Accounts, as anybody may make and see them. What only their owner may do is `account`'s.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::audit;
use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, ValidationRefusals, created,
    serialize_timestamp,
};
use crate::auth::{PasswordRejected, accept_password};
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::policy::PasswordRules;
use crate::domain::user::{NewUser, User, UserId};
use crate::http::{
    ApiError, AppState, BodyKind, Client, FieldError, FromRequestFields, Json, JsonInteger,
    OptionalCaller, RequestFields, Valid, text,
};
use crate::store::{CreateUser, StoreError};

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
    pub(super) fn new(user: &User, show_email: bool) -> Self {
        Self {
            id: user.id.0,
            created_at: user.created_at,
            email: show_email.then(|| user.email.as_str().to_owned()),
        }
    }
}

/// A sign-up that fits.
pub(super) struct CreateUserRequest {
    email: Email,
    password: SecretString,
}

impl FromRequestFields for CreateUserRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let rules = &request.policy().passwords;
        let body = request.object(Some("password"))?;
        let email = request.required(&body, "email", email);
        let password = request.required(&body, "password", |value| password(value, rules));
        Some(Self { email: email?, password: password? })
    }
}

/// The number of an account in the path.
pub(super) struct UserPath(JsonInteger);

impl FromRequestFields for UserPath {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
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
    State(app): State<Arc<AppState>>,
    client: Client,
    Valid(sign_up): Valid<CreateUserRequest>,
) -> ApiResult<Response> {
    app.rate_limits.sign_up(client.0)?;
    let password_hash = app.passwords.hash(sign_up.password).await?;
    let new = NewUser { email: sign_up.email, password_hash, created_at: app.clock.now() };
    audit::complete(&app, |app| async move {
        match app.store.create_user(new).await? {
            CreateUser::Created(user) => {
                audit::record(&app, client, user.id, EventKind::SignedUp).await;
                let location = format!("{}/users/{}", app.root_path, user.id.0);
                Ok(created(&location, UserOut::new(&user, true)))
            }
            CreateUser::EmailTaken => Err(ApiError::EmailTaken),
        }
    })
    .await
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
    State(app): State<Arc<AppState>>,
    OptionalCaller(caller): OptionalCaller,
    Valid(UserPath(id)): Valid<UserPath>,
) -> ApiResult<Json<UserOut>> {
    let Some(known) = id.as_i64().map(UserId) else {
        return Err(ApiError::NoSuchUser(id));
    };
    if let Some(caller) = caller.filter(|caller| caller.user_id == known) {
        match app.store.find_me(caller).await {
            Ok(user) => return Ok(Json(UserOut::new(&user, true))),
            // A token that was ended shows no more than none.
            Err(StoreError::CallerRejected) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let user = app.store.find_user(known).await?.ok_or(ApiError::NoSuchUser(id))?;
    Ok(Json(UserOut::new(&user, app.policy.public_emails)))
}

pub(super) fn email(value: &Value) -> Result<Email, FieldError> {
    Email::parse(text(value)?).map_err(|fault| {
        let message = format!("value is not a valid email address: {}", fault.reason());
        FieldError::value_error(message, fault.reason())
    })
}

pub(super) fn password(value: &Value, rules: &PasswordRules) -> Result<SecretString, FieldError> {
    accept_password(text(value)?, rules).map_err(|refused| match refused {
        PasswordRejected::TooShort { least } => {
            let message = format!("String should have at least {least} characters");
            FieldError::new("string_too_short", message).with("min_length", least)
        }
        PasswordRejected::TooLong { most } => {
            let message = format!("String should have at most {most} characters");
            FieldError::new("string_too_long", message).with("max_length", most)
        }
        PasswordRejected::TooCommon | PasswordRejected::ForbiddenWord => {
            FieldError::value_error(format!("Value error, {refused}"), &refused.to_string())
        }
    })
}
