//! One's own account. Whatever could take it over, or ends it, asks for the password once more or ends
//! every token of the account; what a token was good for, it is not good for after the answer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::audit;
use super::login::Token;
use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, TokenRefusals, ValidationRefusals,
};
use super::users::{UserOut, email, password};
use crate::auth::PasswordCheck;
use crate::domain::caller::Caller;
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::policy::Policy;
use crate::domain::user::{User, UserId};
use crate::http::{
    ApiError, AppState, BodyKind, Client, FieldError, FromRequestFields, Json, JsonInteger,
    RequestFields, Valid, text,
};
use crate::store::{ChangeEmail, DeleteUser};

/// Another address.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "EmailChange",
    example = json!({"email": "ada@example.org", "current_password": "plum lantern 83 quay"})
)]
#[expect(dead_code, reason = "it describes what NewEmail reads")]
pub(super) struct EmailChange {
    #[schema(format = "email")]
    email: String,
    #[schema(format = "password")]
    current_password: String,
}

/// The account with its new address, and a token in the place of those that have ended.
#[derive(Serialize, ToSchema)]
#[schema(title = "EmailChanged")]
pub(super) struct EmailChanged {
    #[serde(flatten)]
    user: UserOut,
    #[serde(flatten)]
    token: Token,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "PasswordChange",
    example = json!({"current_password": "plum lantern 83 quay", "new_password": "94 moss anchors"})
)]
#[expect(dead_code, reason = "it describes what NewPassword reads")]
pub(super) struct PasswordChange {
    #[schema(format = "password")]
    current_password: String,
    /// 8 characters or more, not a very common one.
    #[schema(format = "password", min_length = 8, max_length = 4096)]
    new_password: String,
}

/// A new address that fits.
pub(super) struct ChangeEmailRequest {
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

/// A new password that fits.
pub(super) struct ChangePasswordRequest {
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

/// The password with which a deletion is confirmed, where that is asked for.
pub(super) struct PasswordConfirmation(Option<SecretString>);

const CONFIRM_PASSWORD: HeaderName = HeaderName::from_static("x-confirm-password");

impl FromRequestFields for PasswordConfirmation {
    const BODY: BodyKind = BodyKind::Ignored;

    fn body(policy: &Policy) -> BodyKind {
        if policy.delete_requires_password { BodyKind::Json } else { BodyKind::Ignored }
    }

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        if !request.policy().delete_requires_password {
            return Some(Self(None));
        }
        if let Some(password) = request.header(&CONFIRM_PASSWORD) {
            return Some(Self(Some(SecretString::from(password))));
        }
        let body = request.object(Some("current_password"))?;
        request
            .required(&body, "current_password", secret_text)
            .map(|password| Self(Some(password)))
    }
}

/// The account to be deleted, and the confirmation.
pub(super) struct DeleteUserRequest {
    id: JsonInteger,
    confirmation: PasswordConfirmation,
}

impl FromRequestFields for DeleteUserRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn body(policy: &Policy) -> BodyKind {
        PasswordConfirmation::body(policy)
    }

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let id = request.path_integer("id");
        let confirmation = PasswordConfirmation::read(request);
        Some(Self { id: id?, confirmation: confirmation? })
    }
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
    State(app): State<Arc<AppState>>,
    caller: Caller,
) -> ApiResult<Json<UserOut>> {
    Ok(Json(UserOut::new(&app.store.find_me(caller).await?, true)))
}

/// Change Email
///
/// Gives one's account another address. All of its tokens end at once; the answer has a new one.
#[utoipa::path(
    patch, path = "/users/me", operation_id = "change_email_users_me_patch", tag = "Users",
    request_body = EmailChange,
    responses(
        (status = 200, description = "Successful Response", body = EmailChanged),
        (status = 403, description = "The password is not the account's", body = Refusal,
            example = json!({"detail": "invalid credentials"})),
        (status = 409, description = "The address belongs to another account", body = Refusal,
            example = json!({"detail": "a user with this email already exists"})),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn change_email(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
    Valid(change): Valid<ChangeEmailRequest>,
) -> ApiResult<Json<EmailChanged>> {
    let before = confirm(&app, caller, client, change.current_password).await?;
    // As a sign-up it tells whether an address is taken.
    app.rate_limits.sign_up(client.0)?;
    audit::complete(&app, |app| async move {
        match app.store.change_email(caller, change.email, app.clock.now()).await? {
            ChangeEmail::Changed(user, tokens_valid_from) => {
                app.rate_limits.rename_account(&before.email, &user.email);
                audit::record(&app, client, user.id, EventKind::EmailChanged).await;
                let token = Token::new(app.tokens.issue(user.id, tokens_valid_from)?);
                Ok(Json(EmailChanged { user: UserOut::new(&user, true), token }))
            }
            ChangeEmail::EmailTaken => Err(ApiError::EmailTaken),
        }
    })
    .await
}

/// Change Password
///
/// Gives one's account another password. All of its tokens end at once; the answer has a new one.
#[utoipa::path(
    post, path = "/users/me/password", operation_id = "change_password_users_me_password_post",
    tag = "Users",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "Successful Response", body = Token),
        (status = 403, description = "The password is not the account's", body = Refusal,
            example = json!({"detail": "invalid credentials"})),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn change_password(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
    Valid(change): Valid<ChangePasswordRequest>,
) -> ApiResult<Json<Token>> {
    confirm(&app, caller, client, change.current_password).await?;
    let hash = app.passwords.hash(change.new_password).await?;
    audit::complete(&app, |app| async move {
        let tokens_valid_from = app.store.change_password(caller, hash, app.clock.now()).await?;
        audit::record(&app, client, caller.user_id, EventKind::PasswordChanged).await;
        Ok(Json(Token::new(app.tokens.issue(caller.user_id, tokens_valid_from)?)))
    })
    .await
}

/// Logout
///
/// Ends all tokens of one's account, this one too.
#[utoipa::path(
    post, path = "/logout", operation_id = "logout_logout_post", tag = "Login",
    responses(
        (status = 204, description = "Successful Response"),
        TokenRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn sign_out(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
) -> ApiResult<StatusCode> {
    audit::complete(&app, |app| async move {
        app.store.sign_out(caller, app.clock.now()).await?;
        audit::record(&app, client, caller.user_id, EventKind::SignedOut).await;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Delete Me
///
/// Removes the account that the token names, with its posts and votes. Where `DELETE_REQUIRES_PASSWORD` is on
/// the password is asked for, in the header or as `current_password` in a JSON body.
#[utoipa::path(
    delete, path = "/users/me", operation_id = "delete_me_users_me_delete", tag = "Users",
    params(("X-Confirm-Password" = Option<String>, Header, description = "The password")),
    responses(
        (status = 204, description = "Successful Response"),
        (status = 403, description = "The password is not the account's", body = Refusal,
            example = json!({"detail": "invalid credentials"})),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn delete_me(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
    Valid(confirmation): Valid<PasswordConfirmation>,
) -> ApiResult<StatusCode> {
    match delete(&app, caller, client, caller.user_id, confirmation).await? {
        DeleteUser::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteUser::NotOwner | DeleteUser::NoSuchUser => Err(ApiError::InvalidToken),
    }
}

/// Delete User
///
/// Removes one's own account, with its posts and votes; its tokens end at once. Confirmed as at
/// `/users/me`.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user_users__id__delete", tag = "Users",
    params(
        ("id" = i64, Path, description = "The account's number"),
        ("X-Confirm-Password" = Option<String>, Header, description = "The password")
    ),
    responses(
        (status = 204, description = "Successful Response"),
        (status = 403, description = "The account is somebody else's, or the password not the account's",
            body = Refusal, example = json!({"detail": "not authorized to perform this action"})),
        (status = 404, description = "No such account", body = Refusal,
            example = json!({"detail": "the user with the id:7 was no found"})),
        TokenRefusals, BodyRefusals, ValidationRefusals, RateRefusals, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(super) async fn delete_user(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: Client,
    Valid(DeleteUserRequest { id, confirmation }): Valid<DeleteUserRequest>,
) -> ApiResult<StatusCode> {
    let Some(known) = id.as_i64().map(UserId) else {
        app.store.find_caller(caller).await?;
        return Err(ApiError::NoSuchUser(id));
    };
    match delete(&app, caller, client, known, confirmation).await? {
        DeleteUser::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteUser::NotOwner => Err(ApiError::NotOwner),
        DeleteUser::NoSuchUser => Err(ApiError::NoSuchUser(id)),
    }
}

/// Whose account it is not learns so without a password.
async fn delete(
    app: &Arc<AppState>,
    caller: Caller,
    client: Client,
    id: UserId,
    PasswordConfirmation(password): PasswordConfirmation,
) -> ApiResult<DeleteUser> {
    if let Some(password) = password.filter(|_| id == caller.user_id) {
        confirm(app, caller, client, password).await?;
    }
    audit::complete(app, |app| async move {
        let outcome = app.store.delete_user(caller, id).await?;
        if outcome == DeleteUser::NotOwner {
            // It is kept, as a write is.
            app.rate_limits.write(caller)?;
            audit::record_refusal(&app, client, Some(caller.user_id), EventKind::OwnershipRefused);
        }
        if outcome == DeleteUser::Deleted {
            audit::record(&app, client, id, EventKind::AccountDeleted).await;
        }
        Ok(outcome)
    })
    .await
}

/// A token may have been stolen, or left on a screen: the password says that it is the owner. Whoever tries
/// passwords here is held off as at the login. Tells whose account it is.
async fn confirm(
    app: &Arc<AppState>,
    caller: Caller,
    client: Client,
    password: SecretString,
) -> ApiResult<User> {
    let user = app.store.find_me(caller).await?;
    let stored = app.store.find_own_credentials(caller).await?.password_hash;
    let attempt = app.rate_limits.begin_login(client.0, user.email.as_str()).await?;
    match app.passwords.verify(password, Some(stored)).await {
        Ok(PasswordCheck::Mismatch) => {
            attempt.failed().await?;
            audit::record_refusal(app, client, Some(user.id), EventKind::PasswordRefused);
            Err(ApiError::InvalidLogin)
        }
        // A weak hash is replaced when its owner signs in.
        Ok(PasswordCheck::Match | PasswordCheck::NeedsRehash(_)) => {
            attempt.succeeded().await;
            Ok(user)
        }
        Err(error) => {
            attempt.undecided();
            Err(error.into())
        }
    }
}

fn secret_text(value: &Value) -> Result<SecretString, FieldError> {
    text(value).map(SecretString::from)
}
