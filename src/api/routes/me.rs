//! The caller's own account. A change of e-mail or password could take over the account, so it
//! requires the current password. It revokes every token of the account before the response is
//! sent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::password_confirmation::{DeletionConfirmation, PasswordConfirmation, secret_text};
use super::users::{UserOut, count_sign_up, delete_account, email, password};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields};
use crate::api::json_response::Json;
use crate::api::password_check::{confirm_password, hash_password};
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, ErrorBody, Failures, RateLimitErrors, TokenErrors,
    ValidationErrors,
};
use crate::api::state::AppState;
use crate::api::tagged_json::tagged_json;
use crate::api::token::Token;
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::store::{ChangeEmail, DeleteUser};

/// The body of a change of the e-mail.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "EmailChange",
    example = json!({"email": "ada@example.org", "current_password": "plum lantern 83 quay"})
)]
#[expect(dead_code, reason = "the schema of ChangeEmailRequest")]
pub(in crate::api) struct EmailChange {
    #[schema(format = "email")]
    email: String,
    #[schema(format = "password")]
    current_password: String,
}

/// The account with its new e-mail, and a token to replace the revoked ones.
#[derive(Serialize, ToSchema)]
#[schema(title = "EmailChanged")]
pub(in crate::api) struct EmailChanged {
    #[serde(flatten)]
    user: UserOut,
    #[serde(flatten)]
    token: Token,
}

/// The body of a change of the password.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "PasswordChange",
    example = json!({"current_password": "plum lantern 83 quay", "new_password": "94 moss anchors"})
)]
#[expect(dead_code, reason = "the schema of ChangePasswordRequest")]
pub(in crate::api) struct PasswordChange {
    #[schema(format = "password")]
    current_password: String,
    /// At least 8 characters, and not a common password.
    #[schema(format = "password", min_length = 8, max_length = 4096)]
    new_password: String,
}

/// A validated change of the e-mail.
pub(in crate::api) struct ChangeEmailRequest {
    email: Email,
    current_password: SecretString,
}

impl FromRequestFields for ChangeEmailRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let body = request.object(Some("current_password"))?;
        let email = request.required(&body, "email", email);
        let current_password = request.required(&body, "current_password", secret_text);
        Some(Self { email: email?, current_password: current_password? })
    }
}

/// A validated change of the password.
pub(in crate::api) struct ChangePasswordRequest {
    current_password: SecretString,
    new_password: SecretString,
}

impl FromRequestFields for ChangePasswordRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let rules = &request.policy().passwords;
        let body = request.object(Some("current_password"))?;
        let current_password = request.required(&body, "current_password", secret_text);
        let new_password = request.required(&body, "new_password", |value| password(value, rules));
        Some(Self { current_password: current_password?, new_password: new_password? })
    }
}

/// Get the own account
///
/// Returns the account of the token.
#[utoipa::path(
    get, path = "/users/me", operation_id = "getMe", tag = "Users",
    responses(
        (status = 200, description = "Successful Response", body = UserOut),
        TokenErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn get_me(
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> ApiResult<Response> {
    tagged_json(&app, UserOut::new(&app.store.find_me(caller).await?, true)).await
}

/// Change the e-mail
///
/// Changes the e-mail of the account and revokes its tokens. The response has a new token.
#[utoipa::path(
    patch, path = "/users/me", operation_id = "changeEmail", tag = "Users",
    request_body = EmailChange,
    responses(
        (status = 200, description = "Successful Response", body = EmailChanged),
        (status = 403, description = "The password is wrong", body = ErrorBody,
            example = json!({"detail": "invalid credentials"})),
        (status = 409, description = "The e-mail belongs to another account", body = ErrorBody,
            example = json!({"detail": "a user with this email already exists"})),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn change_email(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
    Valid(change): Valid<ChangeEmailRequest>,
) -> ApiResult<Json<EmailChanged>> {
    confirm_password(&app, caller, client, change.current_password).await?;
    // Limited like a sign-up, because the response also reveals whether an e-mail is taken.
    let change = audit::run_to_completion(&app, |app| async move {
        let changed = app.store.change_email(caller, change.email, app.clock.now()).await;
        match changed.map_err(|error| ApiError::of_field(&["body", "email"], error))? {
            ChangeEmail::Changed(user, tokens_valid_from) => {
                audit::record(&app, client, user.id, EventKind::EmailChanged).await;
                let token = Token::new(app.tokens.issue(user.id, tokens_valid_from)?);
                Ok(Json(EmailChanged { user: UserOut::new(&user, true), token }))
            }
            ChangeEmail::EmailTaken => Err(ApiError::EmailTaken),
        }
    });
    count_sign_up(&app, client, change).await
}

/// Change the password
///
/// Changes the password of the account and revokes its tokens. The response has a new token.
#[utoipa::path(
    post, path = "/users/me/password", operation_id = "changePassword",
    tag = "Users",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "Successful Response", body = Token),
        (status = 403, description = "The password is wrong", body = ErrorBody,
            example = json!({"detail": "invalid credentials"})),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn change_password(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
    Valid(change): Valid<ChangePasswordRequest>,
) -> ApiResult<Json<Token>> {
    let user = confirm_password(&app, caller, client, change.current_password).await?;
    let username = Some(user.email.as_str());
    let hash = hash_password(&app, client, username, change.new_password).await?;
    audit::run_to_completion(&app, |app| async move {
        let tokens_valid_from = app.store.change_password(caller, hash, app.clock.now()).await?;
        audit::record(&app, client, caller.user_id, EventKind::PasswordChanged).await;
        Ok(Json(Token::new(app.tokens.issue(caller.user_id, tokens_valid_from)?)))
    })
    .await
}

/// Delete the own account
///
/// Deletes the account of the token, with its posts and votes.
#[utoipa::path(
    delete, path = "/users/me", operation_id = "deleteMe", tag = "Users",
    params(("X-Confirm-Password" = Option<String>, Header,
        description = "The password, as percent-encoded UTF-8")),
    request_body = DeletionConfirmation,
    responses(
        (status = 204, description = "Successful Response"),
        (status = 403, description = "The password is wrong", body = ErrorBody,
            example = json!({"detail": "invalid credentials"})),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn delete_me(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
    Valid(confirmation): Valid<PasswordConfirmation>,
) -> ApiResult<StatusCode> {
    match delete_account(&app, caller, client, caller.user_id, confirmation).await? {
        DeleteUser::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteUser::NotOwner | DeleteUser::NoSuchUser => Err(ApiError::InvalidToken),
    }
}
