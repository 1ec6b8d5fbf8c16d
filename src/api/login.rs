//! Signing in: the password form of OAuth2 (RFC 6749, 4.3), as the reference takes it, and the refresh
//! form (section 6). What a session is belongs to `sessions`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::USER_AGENT;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit;
use super::responses::{
    ApiResult, BodyRefusals, Failures, RateRefusals, Refusal, ValidationRefusals,
};
use super::sessions;
use crate::auth::PasswordCheck;
use crate::domain::email::Email;
use crate::domain::event::EventKind;
use crate::domain::user::{Credentials, PasswordHash, UserId};
use crate::error_chain::error_chain;
use crate::http::{
    ApiError, AppState, BodyKind, Client, FieldError, FromRequestFields, Json, RequestFields, Valid,
};

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
#[expect(clippy::struct_field_names, reason = "the names are OAuth2's")]
pub(super) struct Token {
    access_token: String,
    token_type: &'static str,
    /// Seconds; with a refresh token alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_in: Option<u64>,
    /// Where `scope` had `offline_access`: good once, for the next answer of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
}

impl Token {
    pub(super) fn new(access_token: String) -> Self {
        Self { access_token, token_type: "bearer", expires_in: None, refresh_token: None }
    }

    /// With a token that goes on with its session.
    pub(super) fn lasting(access_token: String, refresh_token: String, lifetime: Duration) -> Self {
        Self {
            expires_in: Some(lifetime.as_secs()),
            refresh_token: Some(refresh_token),
            ..Self::new(access_token)
        }
    }
}

/// A form that fits.
pub(super) enum LoginForm {
    Password(PasswordLogin),
    /// RFC 6749, section 6.
    Refresh(SecretString),
}

pub(super) struct PasswordLogin {
    username: String,
    password: SecretString,
    /// Whether the client wants to stay signed in.
    is_lasting: bool,
    user_agent: String,
}

impl FromRequestFields for LoginForm {
    const BODY: BodyKind = BodyKind::Form;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        // Without its token this grant is what it is to the reference: a fault of the form.
        if request.form_text("grant_type").as_deref() == Some("refresh_token")
            && let Some(token) =
                request.form_text("refresh_token").filter(|token| !token.is_empty())
        {
            return Some(Self::Refresh(SecretString::from(token)));
        }
        let grant_type = request.optional_form_field("grant_type", password_grant);
        let username = request.form_field("username");
        let password = request.form_field("password").map(SecretString::from);
        grant_type?;
        let scope = request.form_text("scope").unwrap_or_default();
        Some(Self::Password(PasswordLogin {
            username: username?,
            password: password?,
            is_lasting: scope.split_ascii_whitespace().any(|scope| scope == "offline_access"),
            user_agent: name_of_client(request),
        }))
    }
}

/// As much of it as its owner needs to know it again.
fn name_of_client(request: &RequestFields<'_>) -> String {
    const LONGEST: usize = 200;
    request.header(&USER_AGENT).unwrap_or_default().chars().take(LONGEST).collect()
}

/// Login
///
/// Exchanges an e-mail address and a password for a token; with `scope=offline_access` for a refresh
/// token too. That one is exchanged for the next pair by `grant_type=refresh_token`: it is good once.
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
    State(app): State<Arc<AppState>>,
    client: Client,
    Valid(form): Valid<LoginForm>,
) -> ApiResult<Json<Token>> {
    match form {
        LoginForm::Password(login) => log_in(&app, client, login).await.map(Json),
        LoginForm::Refresh(token) => {
            sessions::go_on(&app, client, token.expose_secret()).await.map(Json)
        }
    }
}

async fn log_in(app: &Arc<AppState>, client: Client, login: PasswordLogin) -> ApiResult<Token> {
    let attempt = app.rate_limits.begin_login(client.0, &login.username).await?;
    let mut user = None;
    let answer = sign_in(app, client, login, &mut user).await;
    match &answer {
        Ok(_) => attempt.succeeded().await,
        Err(ApiError::InvalidLogin) => {
            attempt.failed().await?;
            // Last: nobody is to wait for what is kept of accounts that exist alone.
            audit::record_refusal(app, client, user, EventKind::LoginRefused);
        }
        Err(_) => attempt.undecided(),
    }
    answer
}

/// Tells whose account was tried, if it is one.
async fn sign_in(
    app: &Arc<AppState>,
    client: Client,
    login: PasswordLogin,
    user: &mut Option<UserId>,
) -> ApiResult<Token> {
    // What is no address can have no account; the work is the same.
    let credentials = match Email::parse(&login.username) {
        Ok(email) => app.store.find_credentials(email).await?,
        Err(_) => None,
    };
    *user = credentials.as_ref().map(|found| found.user_id);
    let stored = credentials.as_ref().map(|found| found.password_hash.clone());
    let verdict = app.passwords.verify(login.password, stored).await?;
    let (Some(credentials), PasswordCheck::Match | PasswordCheck::NeedsRehash(_)) =
        (credentials, &verdict)
    else {
        return Err(ApiError::InvalidLogin);
    };
    if let PasswordCheck::NeedsRehash(stronger) = verdict {
        upgrade(app, &credentials, stronger).await;
    }
    audit::complete(app, |app| async move {
        let Credentials { user_id, tokens_valid_from, .. } = credentials;
        let token = if login.is_lasting {
            sessions::begin(&app, &credentials, login.user_agent).await?
        } else {
            Token::new(app.tokens.issue(user_id, tokens_valid_from)?)
        };
        audit::record(&app, client, user_id, EventKind::LoggedIn).await;
        Ok(token)
    })
    .await
}

/// Keeps the stronger hash. If that fails the login stands, and the next one tries again.
async fn upgrade(app: &AppState, credentials: &Credentials, stronger: PasswordHash) {
    let weak = credentials.password_hash.clone();
    let upgraded = app.store.upgrade_password_hash(credentials.user_id, weak, stronger).await;
    if let Err(error) = upgraded {
        tracing::warn!(error = error_chain(&error), "a password hash could not be upgraded");
    }
}

fn password_grant(value: &str) -> Result<(), FieldError> {
    const PATTERN: &str = "^password$";
    if value == "password" {
        return Ok(());
    }
    let message = format!("String should match pattern '{PATTERN}'");
    Err(FieldError::new("string_pattern_mismatch", message).with("pattern", PATTERN))
}
