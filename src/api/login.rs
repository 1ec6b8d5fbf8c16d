//! Signing in: the password form of OAuth2 (RFC 6749, 4.3), as the reference takes it.

use std::sync::Arc;

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, ValidationRefusals,
};
use crate::auth::Verdict;
use crate::domain::email::Email;
use crate::domain::user::{Credentials, PasswordHash};
use crate::http::{ApiError, App, BodyKind, Client, Input, Json, Problem, Reading, Valid};

/// The form.
#[derive(Deserialize, ToSchema)]
#[schema(title = "Body_login_login_post")]
#[expect(dead_code, reason = "it describes what LoginForm reads")]
#[expect(non_camel_case_types, reason = "the name is part of the contract")]
pub(super) struct Body_login_login_post {
    #[schema(pattern = "^password$", nullable)]
    grant_type: Option<String>,
    /// The e-mail address.
    #[schema(example = "ada@example.com")]
    username: String,
    #[schema(format = "password", example = "plum lantern 83 quay")]
    password: String,
    #[schema(default = "", required = false)]
    scope: String,
    #[schema(nullable)]
    client_id: Option<String>,
    #[schema(format = "password", nullable)]
    client_secret: Option<String>,
}

/// A token to be sent as `Authorization: Bearer …`.
#[derive(Serialize, ToSchema)]
#[schema(title = "Token", example = json!({"access_token": "eyJ0eXAi…", "token_type": "bearer"}))]
pub(super) struct Token {
    access_token: String,
    token_type: &'static str,
}

/// A form that fits.
pub(super) struct LoginForm {
    username: String,
    password: SecretString,
}

impl Input for LoginForm {
    const BODY: BodyKind = BodyKind::Form;

    fn read(request: &mut Reading<'_>) -> Option<Self> {
        let grant_type = request.optional_form_field("grant_type", password_grant);
        let username = request.form_field("username");
        let password = request.form_field("password").map(SecretString::from);
        grant_type?;
        Some(Self { username: username?, password: password? })
    }
}

/// Login
///
/// Exchanges an e-mail address and a password for a token.
#[utoipa::path(
    post, path = "/login", operation_id = "login_login_post", tag = "Login",
    request_body(content = Body_login_login_post, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Successful Response", body = Token),
        (status = 403, description = "No account has this address and password", body = Refusal,
            example = json!({"detail": "invalid credentials"})),
        BodyRefusals, ValidationRefusals, RateRefusals, Failures
    )
)]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Client(client): Client,
    Valid(form): Valid<LoginForm>,
) -> ApiResult<Json<Token>> {
    let attempt = app.rate_limits.begin_login(client, &form.username).await?;
    let answer = sign_in(&app, form).await;
    match &answer {
        Ok(_) => attempt.succeeded().await,
        Err(ApiError::InvalidLogin) => attempt.failed().await?,
        Err(_) => attempt.undecided(),
    }
    answer
}

async fn sign_in(app: &App, form: LoginForm) -> ApiResult<Json<Token>> {
    // What is no address can have no account; the work is the same.
    let credentials = match Email::parse(&form.username) {
        Ok(email) => app.store.find_credentials(email).await?,
        Err(_) => None,
    };
    let stored = credentials.as_ref().map(|found| found.password_hash.clone());
    let verdict = app.passwords.verify(form.password, stored).await?;
    let Some(credentials) = credentials else {
        return Err(ApiError::InvalidLogin);
    };
    match verdict {
        Verdict::Wrong => return Err(ApiError::InvalidLogin),
        Verdict::Right => {}
        Verdict::RightButWeak(stronger) => upgrade(app, &credentials, stronger).await,
    }
    let access_token = app.tokens.issue(credentials.user_id)?;
    Ok(Json(Token { access_token, token_type: "bearer" }))
}

/// Keeps the stronger hash. If that fails the login stands, and the next one tries again.
async fn upgrade(app: &App, credentials: &Credentials, stronger: PasswordHash) {
    let weak = credentials.password_hash.clone();
    let upgraded = app.store.upgrade_password_hash(credentials.user_id, weak, stronger).await;
    if let Err(error) = upgraded {
        tracing::warn!(error = %error, "a password hash could not be upgraded");
    }
}

fn password_grant(value: &str) -> Result<(), Problem> {
    const PATTERN: &str = "^password$";
    if value == "password" {
        return Ok(());
    }
    let message = format!("String should match pattern '{PATTERN}'");
    Err(Problem::new("string_pattern_mismatch", message).with("pattern", PATTERN))
}
