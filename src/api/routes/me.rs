//! The caller's own account. A change of e-mail or password could take over the account, so it
//! requires the current password. It revokes every token of the account before the response is
//! sent. A change of the name does neither.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::me_include::{GetMeRequest, MeInclude, VerifiedAt};
use super::password_confirmation::{DeletionConfirmation, PasswordConfirmation, secret_text};
use super::users::{count_sign_up, delete_account, email, name, password};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FieldError, FromRequestFields, RequestFields, text};
use crate::api::json_response::Json;
use crate::api::mails;
use crate::api::password_check::{confirm_password, hash_password};
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, ErrorBody, Failures, RateLimitErrors, TokenErrors,
    ValidationErrors, serialize_timestamp,
};
use crate::api::state::AppState;
use crate::api::tagged_json::tagged_json;
use crate::api::token::{TOKEN_TYPE, Token};
use crate::api::writer::Writer;
use crate::domain::caller::Caller;
use crate::domain::display_name::{DisplayName, InvalidName, MAX_NAME_LENGTH, NameChange};
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::user::User;
use crate::store::{ChangeEmail, DeleteUser};

/// The own account.
#[derive(Serialize, ToSchema)]
#[schema(
    title = "Me",
    example = json!({
        "id": 1, "created_at": "2025-01-31T12:00:00.123456Z", "email": "ada@example.com",
        "name": "Ada Lovelace"
    })
)]
pub(in crate::api) struct Me {
    id: i64,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// An account of an adopted database may have any text.
    email: String,
    /// The display name. Null if the account has none.
    #[schema(required = true)]
    name: Option<String>,
    /// When the owner proved to read the e-mail. Present with `include=verified`, where it may be
    /// null, and in an export if the e-mail is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, required = false)]
    #[expect(clippy::option_option, reason = "an absent time and null are two things")]
    email_verified_at: Option<Option<VerifiedAt>>,
}

impl From<&User> for Me {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            created_at: user.created_at,
            email: user.email.as_str().to_owned(),
            name: name(user),
            email_verified_at: None,
        }
    }
}

impl Me {
    /// Returns the account as an export has it.
    pub(super) fn exported(user: &User, verified_at: Option<Timestamp>) -> Self {
        let email_verified_at = verified_at.map(|time| Some(VerifiedAt(time)));
        Self { email_verified_at, ..Self::from(user) }
    }
}

/// The body of a change of the account: a new e-mail, a new name, or both.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "MeUpdate",
    example = json!({"email": "ada@example.org", "current_password": "plum lantern 83 quay"})
)]
#[expect(dead_code, reason = "the schema of UpdateMeRequest")]
pub(in crate::api) struct MeUpdate {
    /// The new e-mail. It requires `current_password`.
    #[schema(format = "email", nullable = false)]
    email: Option<String>,
    /// The password of the account. Ignored without `email`.
    #[schema(format = "password", nullable = false)]
    current_password: Option<String>,
    /// The new display name: 1 to 64 characters after white space around it is removed, and no
    /// control characters. Null removes the name. Several accounts can have the same name.
    name: Option<String>,
}

/// The changed account. A change of the e-mail adds a token to replace the revoked ones.
#[derive(Serialize, ToSchema)]
#[schema(title = "MeUpdated")]
pub(in crate::api) struct MeUpdated {
    #[serde(flatten)]
    me: Me,
    /// Only present after a change of the e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// Only present after a change of the e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    token_type: Option<&'static str>,
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

/// A validated change of the account.
pub(in crate::api) enum UpdateMeRequest {
    Email(EmailChange, NameChange),
    Name(Option<DisplayName>),
}

pub(in crate::api) struct EmailChange {
    email: Email,
    current_password: SecretString,
}

impl FromRequestFields for UpdateMeRequest {
    const BODY: BodyKind = BodyKind::Json;

    /// A body without a name is a change of the e-mail.
    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let body = request.object(Some("current_password"))?;
        if !body.has("email") && body.has("name") {
            return request.required(&body, "name", display_name).map(Self::Name);
        }
        let email = request.required(&body, "email", email);
        let current_password = request.required(&body, "current_password", secret_text);
        let name = request.defaulted(&body, "name", NameChange::Keep, |value| {
            display_name(value).map(NameChange::Replace)
        });
        let change = EmailChange { email: email?, current_password: current_password? };
        Some(Self::Email(change, name?))
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
    params(("include" = Option<Vec<MeInclude>>, Query, style = Form, explode = false,
        description = "`verified` adds when the owner proved to read the e-mail")),
    responses(
        (status = 200, description = "Successful Response", body = Me),
        TokenErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn get_me(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    Valid(GetMeRequest { include_verified }): Valid<GetMeRequest>,
) -> ApiResult<Response> {
    if !include_verified {
        return tagged_json(&app, Me::from(&app.store.find_me(caller).await?)).await;
    }
    let (user, verified_at) = app.store.find_me_verified(caller).await?;
    let email_verified_at = Some(verified_at.map(VerifiedAt));
    tagged_json(&app, Me { email_verified_at, ..Me::from(&user) }).await
}

/// Change the e-mail or the name
///
/// Changes the e-mail or the display name of the account, or both. Another e-mail requires the
/// password and revokes the tokens of the account; the response has a new token.
#[utoipa::path(
    patch, path = "/users/me", operation_id = "updateMe", tag = "Users",
    request_body(content = MeUpdate, examples(
        ("E-mail" = (value = json!({
            "email": "ada@example.org", "current_password": "plum lantern 83 quay"
        }))),
        ("Name" = (value = json!({"name": "Ada Lovelace"}))),
        ("No name" = (value = json!({"name": null})))
    )),
    responses(
        (status = 200, description = "Successful Response", body = MeUpdated, examples(
            ("E-mail" = (value = json!({
                "id": 1, "created_at": "2025-01-31T12:00:00.123456Z", "email": "ada@example.org",
                "name": "Ada Lovelace", "access_token": "eyJ0eXAi…", "token_type": "bearer"
            }))),
            ("Name" = (value = json!({
                "id": 1, "created_at": "2025-01-31T12:00:00.123456Z", "email": "ada@example.com",
                "name": "Ada Lovelace"
            })))
        )),
        (status = 403, description = "The password is wrong", body = ErrorBody,
            example = json!({"detail": "invalid credentials"})),
        (status = 409, description = "The e-mail belongs to another account", body = ErrorBody,
            example = json!({"detail": "a user with this email already exists"})),
        TokenErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn update_me(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
    Valid(change): Valid<UpdateMeRequest>,
) -> ApiResult<Json<MeUpdated>> {
    match change {
        UpdateMeRequest::Email(change, name) => {
            change_email(&app, caller, client, change, name).await
        }
        UpdateMeRequest::Name(name) => change_name(&app, caller, name).await,
    }
}

async fn change_name(
    app: &Arc<AppState>,
    caller: Caller,
    name: Option<DisplayName>,
) -> ApiResult<Json<MeUpdated>> {
    let writer = Writer::check(caller, app).await?;
    let bytes = name.as_ref().map_or(0, |name| name.as_str().len());
    let changed = writer.run(bytes, app.store.change_name(caller, name)).await;
    let user = changed.map_err(|error| ApiError::of_field(&["body", "name"], error))?;
    Ok(Json(MeUpdated { me: Me::from(&user), access_token: None, token_type: None }))
}

async fn change_email(
    app: &Arc<AppState>,
    caller: Caller,
    client: ClientIp,
    change: EmailChange,
    name: NameChange,
) -> ApiResult<Json<MeUpdated>> {
    let old = confirm_password(app, caller, client, change.current_password).await?;
    // Limited like a sign-up, because the response also reveals whether an e-mail is taken.
    let change = audit::run_to_completion(app, |app| async move {
        // The store does not tell which of two texts it cannot store.
        let fields: &[&str] = if matches!(name, NameChange::Replace(Some(_))) {
            &["body"]
        } else {
            &["body", "email"]
        };
        let changed = app.store.change_email(caller, change.email, name, app.clock.now()).await;
        match changed.map_err(|error| ApiError::of_field(fields, error))? {
            ChangeEmail::Changed(user, tokens_valid_from) => {
                audit::record(&app, client, user.id, EventKind::EmailChanged).await;
                if user.email != old.email {
                    mails::notify_of_change(&app, client, user.id, old);
                    mails::verify_new_email(&app, client, &user);
                }
                let access_token = Some(app.tokens.issue(user.id, tokens_valid_from)?);
                let token_type = Some(TOKEN_TYPE);
                Ok(Json(MeUpdated { me: Me::from(&user), access_token, token_type }))
            }
            ChangeEmail::EmailTaken => Err(ApiError::EmailTaken),
        }
    });
    count_sign_up(app, client, change).await
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
    let own = confirm_password(&app, caller, client, change.current_password).await?;
    let username = Some(own.email.as_str());
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

/// Accepts a display name, or null for none.
fn display_name(value: &Value) -> Result<Option<DisplayName>, FieldError> {
    if value.is_null() {
        return Ok(None);
    }
    DisplayName::parse(text(value)?).map(Some).map_err(|invalid| match invalid {
        InvalidName::Empty => {
            FieldError::new("string_too_short", "String should have at least 1 character")
                .with("min_length", 1)
        }
        InvalidName::TooLong => {
            let message = format!("String should have at most {MAX_NAME_LENGTH} characters");
            FieldError::new("string_too_long", message).with("max_length", MAX_NAME_LENGTH)
        }
        InvalidName::ControlCharacter | InvalidName::Invisible => {
            let reason = invalid.to_string();
            FieldError::value_error(format!("Value error, {reason}"), &reason)
        }
    })
}
