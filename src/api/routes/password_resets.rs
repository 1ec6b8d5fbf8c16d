//! A new password for an account whose owner has forgotten the old one: a link in a mail leads to a
//! page, and only a button on the page uses it. Programs that follow links in mails use up nothing.
//!
//! Not here: the token of the link, see `auth/mail_link.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::{email, password};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::ApiResult;
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields, text};
use crate::api::json_response::json_response;
use crate::api::mails;
use crate::api::password_check::hash_password;
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, Failures, LinkErrors, MailOffErrors, RateLimitErrors,
    ValidationErrors,
};
use crate::api::state::AppState;
use crate::auth::{LinkPurpose, PresentedLink};
use crate::domain::email::{Email, TypedEmail};
use crate::domain::event::EventKind;
use crate::domain::recipient::Recipient;
use crate::error_chain::error_chain;

/// Describes the mail that the service sends after the response.
#[derive(Serialize, ToSchema)]
#[schema(title = "MailAccepted")]
pub(in crate::api) struct MailAccepted {
    detail: &'static str,
}

impl MailAccepted {
    pub(super) fn respond(detail: &'static str) -> Response {
        json_response(StatusCode::ACCEPTED, &Self { detail })
    }
}

/// The body of a request for a link that resets the password.
#[derive(Deserialize, ToSchema)]
#[schema(title = "PasswordResetRequest", example = json!({"email": "ada@example.com"}))]
#[expect(dead_code, reason = "the schema of CreatePasswordResetRequest")]
pub(in crate::api) struct PasswordResetRequest {
    #[schema(format = "email")]
    email: String,
}

/// The body of a reset.
#[derive(Deserialize, ToSchema)]
#[schema(
    title = "PasswordResetConfirmation",
    example = json!({"token": "AAAAAAAAAAE…", "new_password": "94 moss anchors"})
)]
#[expect(dead_code, reason = "the schema of ConfirmPasswordResetRequest")]
pub(in crate::api) struct PasswordResetConfirmation {
    /// The token of the link: the part of its fragment after `reset=`.
    token: String,
    /// At least 8 characters, and not a common password.
    #[schema(format = "password", min_length = 8, max_length = 4096)]
    new_password: String,
}

/// A validated request for a link that resets the password.
pub(in crate::api) struct CreatePasswordResetRequest {
    normal: Email,
    typed: TypedEmail,
}

impl FromRequestFields for CreatePasswordResetRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let body = request.object(None)?;
        request.required(&body, "email", |value| {
            Ok(Self { normal: email(value)?, typed: TypedEmail::new(text(value)?) })
        })
    }
}

/// A validated reset. The link is `None` if the text is no token.
pub(in crate::api) struct ConfirmPasswordResetRequest {
    link: Option<PresentedLink>,
    new_password: SecretString,
}

impl FromRequestFields for ConfirmPasswordResetRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let rules = &request.policy().passwords;
        let body = request.object(Some("new_password"))?;
        let link = request.required(&body, "token", |value| text(value).map(PresentedLink::parse));
        let new_password = request.required(&body, "new_password", |value| password(value, rules));
        Some(Self { link: link?, new_password: new_password? })
    }
}

/// Ask for a new password
///
/// Sends a mail with a link to the e-mail, if it has an account. The response is the same if it has
/// none. The link is valid for one hour, and until the password or the e-mail changes.
#[utoipa::path(
    post, path = "/password-resets", operation_id = "requestPasswordReset", tag = "E-mail",
    request_body = PasswordResetRequest,
    responses(
        (status = 202, description = "If the e-mail has an account, a mail will be sent",
            body = MailAccepted,
            example = json!({"detail": "if this address has an account, a mail is on its way"})),
        MailOffErrors, BodyErrors, BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    )
)]
pub(in crate::api) async fn request_password_reset(
    State(app): State<Arc<AppState>>,
    client: ClientIp,
    Valid(request): Valid<CreatePasswordResetRequest>,
) -> ApiResult<Response> {
    let CreatePasswordResetRequest { normal, typed } = request;
    app.rate_limits.request_reset(client.0, normal.as_str())?;
    mails::send_reset_link(&app, client, typed);
    Ok(MailAccepted::respond("if this address has an account, a mail is on its way"))
}

/// Set a new password
///
/// Sets the password of the account that the link was made for, and revokes all of its tokens and
/// sessions. A link works once: afterwards every earlier link of the account is invalid. The reset
/// also verifies the e-mail.
#[utoipa::path(
    post, path = "/password-resets/confirm", operation_id = "confirmPasswordReset", tag = "E-mail",
    request_body = PasswordResetConfirmation,
    responses(
        (status = 204, description = "Successful Response"),
        LinkErrors, MailOffErrors, BodyErrors, BodyLimitErrors, ValidationErrors, Failures
    )
)]
pub(in crate::api) async fn confirm_password_reset(
    State(app): State<Arc<AppState>>,
    client: ClientIp,
    Valid(request): Valid<ConfirmPasswordResetRequest>,
) -> ApiResult<StatusCode> {
    let ConfirmPasswordResetRequest { link, new_password } = request;
    let recipient = mails::find_recipient(&app, client, LinkPurpose::ResetPassword, link).await?;
    let username = Some(recipient.email.as_str());
    let hash = hash_password(&app, client, username, new_password).await?;
    audit::run_to_completion(&app, |app| async move {
        let Recipient { email, credentials } = recipient.clone();
        if !app.store.reset_password(recipient, hash, app.clock.now()).await? {
            return Err(mails::refuse_link(&app, client));
        }
        audit::record(&app, client, credentials.user_id, EventKind::PasswordReset).await;
        let user = credentials.user_id;
        let unlocked = app.rate_limits.unlock_account(client.0, email.as_str(), user).await;
        if let Err(error) = unlocked {
            tracing::warn!(error = error_chain(&error), "login failures not cleared");
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
