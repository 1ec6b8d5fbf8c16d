//! Proves that the owner of an account reads its e-mail, by a link in a mail.
//!
//! Not here: the mail after a sign-up and a change of the e-mail, see `users.rs` and `me.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::password_resets::MailAccepted;
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::ApiResult;
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields, text};
use crate::api::mails;
use crate::api::responses::{
    BodyErrors, BodyLimitErrors, Failures, LinkErrors, MailOffErrors, RateLimitErrors, TokenErrors,
    ValidationErrors,
};
use crate::api::state::AppState;
use crate::auth::{LinkPurpose, PresentedLink};
use crate::domain::caller::Caller;
use crate::domain::event::EventKind;

/// The body of a verification.
#[derive(Deserialize, ToSchema)]
#[schema(title = "EmailVerification", example = json!({"token": "AAAAAAAAAAE…"}))]
#[expect(dead_code, reason = "the schema of VerifyEmailRequest")]
pub(in crate::api) struct EmailVerification {
    /// The token of the link: the part of its fragment after `verify=`.
    token: String,
}

/// A validated verification. `None` if the text is no token.
pub(in crate::api) struct VerifyEmailRequest(Option<PresentedLink>);

impl FromRequestFields for VerifyEmailRequest {
    const BODY: BodyKind = BodyKind::Json;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let body = request.object(Some("token"))?;
        request.required(&body, "token", |value| text(value).map(PresentedLink::parse)).map(Self)
    }
}

/// Ask for a link that verifies the e-mail
///
/// Sends a mail with a link to the e-mail of the account. The link is valid for 24 hours, and until
/// the password or the e-mail changes or the account signs out.
#[utoipa::path(
    post, path = "/users/me/email/verifications", operation_id = "requestEmailVerification",
    tag = "E-mail",
    responses(
        (status = 202, description = "A mail will be sent", body = MailAccepted,
            example = json!({"detail": "a mail is on its way"})),
        TokenErrors, MailOffErrors, RateLimitErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn request_email_verification(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
) -> ApiResult<Response> {
    let user = app.store.find_me(caller).await?;
    app.rate_limits.request_verification(client.0, user.email.as_str())?;
    mails::send_verification_link(&app, client, user.id);
    Ok(MailAccepted::respond("a mail is on its way"))
}

/// Verify an e-mail
///
/// Records that the owner of the account reads its e-mail. A second use of the link changes nothing.
#[utoipa::path(
    post, path = "/email-verifications", operation_id = "verifyEmail", tag = "E-mail",
    request_body = EmailVerification,
    responses(
        (status = 204, description = "Successful Response"),
        LinkErrors, MailOffErrors, BodyErrors, BodyLimitErrors, ValidationErrors, Failures
    )
)]
pub(in crate::api) async fn verify_email(
    State(app): State<Arc<AppState>>,
    client: ClientIp,
    Valid(VerifyEmailRequest(link)): Valid<VerifyEmailRequest>,
) -> ApiResult<StatusCode> {
    let recipient = mails::find_recipient(&app, client, LinkPurpose::VerifyEmail, link).await?;
    let user = recipient.credentials.user_id;
    audit::run_to_completion(&app, |app| async move {
        if !app.store.verify_email(recipient, app.clock.now()).await? {
            return Err(mails::refuse_link(&app, client));
        }
        audit::record(&app, client, user, EventKind::EmailVerified).await;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
