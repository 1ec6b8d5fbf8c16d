//! Users: sign-up, public view, deletion.
//!
//! Not here: the caller's own account, see `me.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::include::read_include;
use super::password_confirmation::{DeletionConfirmation, PasswordConfirmation};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{OptionalCaller, Valid};
use crate::api::input::{
    BodyKind, FieldError, FromRequestFields, JsonInteger, Keyed, Repeatable, RequestFields, text,
};
use crate::api::mails;
use crate::api::password_check::{confirm_password, hash_password};
use crate::api::replay::{self, IdempotencyKeyHeader};
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, ErrorBody, Failures, RateLimitErrors, TokenErrors,
    ValidationErrors, created, serialize_timestamp,
};
use crate::api::state::AppState;
use crate::api::tagged_json::tagged_json;
use crate::auth::{PasswordRejected, accept_password};
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::idempotency_key::Fingerprint;
use crate::domain::policy::{PasswordRules, Policy};
use crate::domain::user::{NewUser, User, UserId};
use crate::store::{CreateUser, DeleteUser, Once, StoreError};

/// The body of a sign-up.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "UserCreate",
    example = json!({"email": "ada@example.com", "password": "plum lantern 83 quay"})
)]
#[expect(dead_code, reason = "the schema of CreateUserRequest")]
pub(in crate::api) struct UserCreate {
    #[schema(format = "email")]
    email: String,
    /// At least 8 characters, and not a common password.
    #[schema(format = "password", min_length = 8, max_length = 4096)]
    password: String,
}

/// The public view of an account.
#[derive(Serialize, ToSchema)]
#[schema(
    title = "UserOut",
    example = json!({"id": 1, "created_at": "2025-01-31T12:00:00.123456Z", "email": "ada@example.com"})
)]
pub(in crate::api) struct UserOut {
    id: i64,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null, unless the account asks for itself. Accounts of an adopted database may have any text.
    #[schema(required = true)]
    email: Option<String>,
    /// The display name, or null. Only present with `include=name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    #[expect(clippy::option_option, reason = "an absent name and null are two things")]
    name: Option<Option<String>>,
}

impl UserOut {
    pub(in crate::api) fn new(user: &User, show_email: bool) -> Self {
        Self {
            id: user.id.0,
            created_at: user.created_at,
            email: show_email.then(|| user.email.as_str().to_owned()),
            name: None,
        }
    }

    /// Adds the display name.
    fn with_name(self, user: &User) -> Self {
        Self { name: Some(name(user)), ..self }
    }
}

/// Returns the display name of the account.
pub(in crate::api) fn name(user: &User) -> Option<String> {
    user.name.as_ref().map(|name| name.as_str().to_owned())
}

/// A validated sign-up.
pub(in crate::api) struct CreateUserRequest {
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

/// The e-mail only: nothing of the password is kept but its slow hash.
impl Repeatable for CreateUserRequest {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of("POST /users", &[self.email.as_str().as_bytes()])
    }
}

/// The ID of a user in the path, and whether the response has the name.
pub(in crate::api) struct GetUserRequest {
    id: JsonInteger,
    include_name: bool,
}

/// A value of the parameter `include` of an account.
#[derive(ToSchema)]
#[schema(title = "UserInclude", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of the parameter")]
pub(in crate::api) enum UserInclude {
    Name,
}

impl FromRequestFields for GetUserRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let include = read_include(request, &["name"])?;
        Some(Self { id: id?, include_name: include.contains(&"name") })
    }
}

/// The account to delete, and the confirmation.
pub(in crate::api) struct DeleteUserRequest {
    id: JsonInteger,
    confirmation: PasswordConfirmation,
}

impl FromRequestFields for DeleteUserRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn body(policy: &Policy, headers: &HeaderMap) -> BodyKind {
        PasswordConfirmation::body(policy, headers)
    }

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let confirmation = PasswordConfirmation::read(request);
        Some(Self { id: id?, confirmation: confirmation? })
    }
}

/// Create an account
///
/// Signs up. No token is needed.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user_users_post", tag = "Users",
    params(IdempotencyKeyHeader),
    request_body = UserCreate,
    responses(
        (status = 201, description = "Successful Response", body = UserOut,
            headers(
                ("Location" = String, description = "The path of the account"),
                ("Idempotent-Replayed" = bool, description = "True if an earlier request did this")
            )),
        (status = 409, description = "The e-mail belongs to another account", body = ErrorBody,
            example = json!({"detail": "a user with this email already exists"})),
        BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    )
)]
pub(in crate::api) async fn create_user(
    State(app): State<Arc<AppState>>,
    client: ClientIp,
    Valid(Keyed { input: sign_up, key }): Valid<Keyed<CreateUserRequest>>,
) -> ApiResult<Response> {
    count_sign_up(&app, client, async {
        let password_hash = hash_password(&app, client, None, sign_up.password).await?;
        let new = NewUser { email: sign_up.email, password_hash, created_at: app.clock.now() };
        audit::run_to_completion(&app, |app| async move {
            let created_user = match key {
                None => app.store.create_user(new).await.map(Once::Done),
                Some(key) => app.store.create_user_once(new, key).await,
            };
            let created_user =
                created_user.map_err(|error| ApiError::of_field(&["body", "email"], error))?;
            let (created_user, replay) = replay::outcome(created_user)?;
            match created_user {
                CreateUser::Created(user) => {
                    if !replay.is_replayed() {
                        audit::record(&app, client, user.id, EventKind::SignedUp).await;
                        mails::verify_new_email(&app, client, &user);
                    }
                    let location = format!("{}/users/{}", app.root_path, user.id.0);
                    Ok(replay.mark(created(&location, UserOut::new(&user, true))))
                }
                CreateUser::EmailTaken => Err(ApiError::EmailTaken),
            }
        })
        .await
    })
    .await
}

/// Runs work that signs up, or tells as much about an e-mail. Counts it, unless the service fails.
pub(in crate::api) async fn count_sign_up<T>(
    app: &AppState,
    client: ClientIp,
    work: impl Future<Output = ApiResult<T>>,
) -> ApiResult<T> {
    app.rate_limits.sign_up(client.0)?;
    let outcome = work.await;
    if outcome.as_ref().is_err_and(|error| error.status().is_server_error()) {
        app.rate_limits.refund_sign_up(client.0);
    }
    outcome
}

/// Get an account
///
/// Returns the public view of an account. The account itself also sees its e-mail.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "get_user_users__id__get", tag = "Users",
    params(
        ("id" = i64, Path, description = "The ID of the account"),
        ("include" = Option<Vec<UserInclude>>, Query, style = Form, explode = false,
            description = "`name` adds the display name"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = UserOut),
        (status = 404, description = "No such account", body = ErrorBody,
            example = json!({"detail": "the user with the id:7 was no found"})),
        ValidationErrors, Failures
    ),
    security((), ("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn get_user(
    State(app): State<Arc<AppState>>,
    OptionalCaller(caller): OptionalCaller,
    Valid(GetUserRequest { id, include_name }): Valid<GetUserRequest>,
) -> ApiResult<Response> {
    let user_id = UserId(id.as_id());
    let show = |user: &User, show_email| {
        let shown = UserOut::new(user, show_email);
        if include_name { shown.with_name(user) } else { shown }
    };
    if let Some(caller) = caller.filter(|caller| caller.user_id == user_id) {
        match app.store.find_me(caller).await {
            Ok(user) => return tagged_json(&app, show(&user, true)).await,
            // With a revoked token the response is the same as without a token.
            Err(StoreError::CallerRejected) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let user = app.store.find_user(user_id).await?.ok_or(ApiError::NoSuchUser(id))?;
    tagged_json(&app, show(&user, app.policy.public_emails)).await
}

/// Delete an account by its ID
///
/// Deletes the account of the caller, with its posts and votes, and revokes its tokens.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user_users__id__delete", tag = "Users",
    params(
        ("id" = i64, Path, description = "The ID of the account"),
        ("X-Confirm-Password" = Option<String>, Header,
            description = "The password, as percent-encoded UTF-8")
    ),
    request_body = DeletionConfirmation,
    responses(
        (status = 204, description = "Successful Response"),
        (status = 403, description = "The account belongs to another user, or the password is wrong",
            body = ErrorBody, examples(
                ("Other account" = (value = json!({"detail": "not authorized to perform this action"}))),
                ("Wrong password" = (value = json!({"detail": "invalid credentials"})))
            )),
        (status = 404, description = "No such account", body = ErrorBody,
            example = json!({"detail": "the user with the id:7 was no found"})),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn delete_user(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
    Valid(DeleteUserRequest { id, confirmation }): Valid<DeleteUserRequest>,
) -> ApiResult<StatusCode> {
    match delete_account(&app, caller, client, UserId(id.as_id()), confirmation).await? {
        DeleteUser::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteUser::NotOwner => Err(ApiError::NotOwner),
        DeleteUser::NoSuchUser => Err(ApiError::NoSuchUser(id)),
    }
}

/// Deletes the account `id` if it is the caller's own. Verifies the password only for the own
/// account.
pub(in crate::api) async fn delete_account(
    app: &Arc<AppState>,
    caller: Caller,
    client: ClientIp,
    id: UserId,
    PasswordConfirmation(password): PasswordConfirmation,
) -> ApiResult<DeleteUser> {
    if let Some(password) = password.filter(|_| id == caller.user_id) {
        confirm_password(app, caller, client, password).await?;
    }
    audit::run_to_completion(app, |app| async move {
        let outcome = app.store.delete_user(caller, id).await?;
        if outcome == DeleteUser::NotOwner {
            // The store keeps the event, so it counts as a write.
            app.rate_limits.check_write(caller.user_id)?;
            app.rate_limits.count_write(caller.user_id, 0);
            audit::record_refusal(&app, client, Some(caller.user_id), EventKind::OwnershipRefused);
        }
        if outcome == DeleteUser::Deleted {
            audit::record(&app, client, id, EventKind::AccountDeleted).await;
        }
        Ok(outcome)
    })
    .await
}

pub(in crate::api) fn email(value: &Value) -> Result<Email, FieldError> {
    Email::parse(text(value)?).map_err(|error| {
        let message = format!("value is not a valid email address: {}", error.reason());
        FieldError::value_error(message, error.reason())
    })
}

pub(in crate::api) fn password(
    value: &Value,
    rules: &PasswordRules,
) -> Result<SecretString, FieldError> {
    accept_password(text(value)?, rules).map_err(|rejected| match rejected {
        PasswordRejected::TooShort { min } => {
            let message = format!("String should have at least {min} characters");
            FieldError::new("string_too_short", message).with("min_length", min)
        }
        PasswordRejected::TooLong { max } => {
            let message = format!("String should have at most {max} characters");
            FieldError::new("string_too_long", message).with("max_length", max)
        }
        PasswordRejected::TooCommon | PasswordRejected::ForbiddenWord => {
            FieldError::value_error(format!("Value error, {rejected}"), &rejected.to_string())
        }
    })
}
