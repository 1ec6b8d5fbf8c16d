//! Login and logout. The login form is the password grant of OAuth2 (RFC 6749, 4.3), as in the
//! reference service, or the refresh token grant (RFC 6749, 6).
//!
//! Not here: how a session is started and refreshed, see `refresh.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::USER_AGENT;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::refresh::{refresh_session, start_session};
use crate::api::audit;
use crate::api::client_ip::ClientIp;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FieldError, FromRequestFields, RequestFields};
use crate::api::json_response::Json;
use crate::api::password_check::{Verified, check_password};
use crate::api::responses::{
    BodyLimitErrors, ErrorBody, Failures, OAuthError, RateLimitErrors, TokenErrors,
    ValidationErrors,
};
use crate::api::state::AppState;
use crate::api::token::Token;
use crate::domain::caller::Caller;
use crate::domain::email::TypedEmail;
use crate::domain::event::EventKind;
use crate::domain::user::{Credentials, PasswordHash};
use crate::error_chain::error_chain;

/// The login form.
#[derive(Deserialize, ToSchema)]
#[schema(title = "Body_login_login_post")]
#[expect(dead_code, reason = "the schema of LoginForm")]
#[expect(non_camel_case_types, reason = "the contract fixes the name")]
pub(in crate::api) struct Body_login_login_post {
    #[schema(pattern = "^password$", nullable)]
    grant_type: Option<String>,
    /// The e-mail of the account.
    #[schema(example = "ada@example.com")]
    username: String,
    #[schema(format = "password", example = "plum lantern 83 quay")]
    password: String,
    /// `offline_access` starts a session with a refresh token. Other scopes are ignored.
    #[schema(default = "", required = false)]
    scope: String,
    /// Ignored.
    #[schema(nullable)]
    client_id: Option<String>,
    /// Ignored.
    #[schema(format = "password", nullable)]
    client_secret: Option<String>,
}

/// The form that refreshes a session (RFC 6749, 6).
#[derive(Deserialize, ToSchema)]
#[schema(title = "RefreshTokenGrant")]
#[expect(dead_code, reason = "the schema of LoginForm")]
pub(in crate::api) struct RefreshTokenGrant {
    #[schema(pattern = "^refresh_token$")]
    grant_type: String,
    /// The refresh token of the last response.
    refresh_token: String,
}

/// A validated login form.
pub(in crate::api) enum LoginForm {
    Password(PasswordLogin),
    /// The refresh token grant (RFC 6749, 6).
    Refresh(SecretString),
}

pub(in crate::api) struct PasswordLogin {
    username: String,
    password: SecretString,
    /// Whether `scope` contains `offline_access`.
    wants_refresh_token: bool,
    user_agent: String,
}

impl FromRequestFields for LoginForm {
    const BODY: BodyKind = BodyKind::Form;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        // Without a token, this grant is a validation error, as in the reference service.
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
            wants_refresh_token: scope
                .split_ascii_whitespace()
                .any(|scope| scope == "offline_access"),
            user_agent: user_agent(request),
        }))
    }
}

/// Returns the first 200 characters of the `User-Agent`. The owner of the account recognizes the
/// session by it.
fn user_agent(request: &RequestFields<'_>) -> String {
    const MAX_CHARACTERS: usize = 200;
    request.header(&USER_AGENT).unwrap_or_default().chars().take(MAX_CHARACTERS).collect()
}

/// Log in, or refresh a session
///
/// Exchanges an e-mail and a password for an access token. With `scope=offline_access` the response has
/// a refresh token too. A client exchanges a refresh token for the next pair by
/// `grant_type=refresh_token`; each refresh token is valid once.
#[utoipa::path(
    post, path = "/login", operation_id = "login_login_post", tag = "Login",
    params(("User-Agent" = Option<String>, Header,
        description = "The client, as the list of sessions shows it")),
    request_body(content = Body_login_login_post, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Successful Response", body = Token),
        (status = 400, description = "The refresh token is invalid, or the body cannot be read",
            body = OAuthError, examples(
                ("Refresh token" = (value = json!({
                    "error": "invalid_grant",
                    "error_description": "the refresh token is not valid",
                    "detail": "the refresh token is not valid"
                }))),
                ("Body" = (value = json!({"detail": "There was an error parsing the body"})))
            )),
        (status = 403, description = "No account has this e-mail and password", body = ErrorBody,
            example = json!({"detail": "invalid credentials"})),
        BodyLimitErrors, ValidationErrors, RateLimitErrors, Failures
    )
)]
pub(in crate::api) async fn login(
    State(app): State<Arc<AppState>>,
    client: ClientIp,
    Valid(form): Valid<LoginForm>,
) -> ApiResult<Json<Token>> {
    match form {
        LoginForm::Password(login) => {
            let outcome = log_in(&app, client, login).await;
            app.metrics.count_login(&outcome);
            outcome.map(Json)
        }
        LoginForm::Refresh(token) => {
            refresh_session(&app, client, token.expose_secret()).await.map(Json)
        }
    }
}

/// How often a login verifies the password. Each further time, the account has revoked its tokens
/// since the last one, and perhaps changed its password.
const MAX_VERIFICATIONS: usize = 3;

async fn log_in(app: &Arc<AppState>, client: ClientIp, login: PasswordLogin) -> ApiResult<Token> {
    // A text that is no e-mail is looked up too: an adopted account may have it, and timing reveals
    // nothing.
    let email = TypedEmail::new(&login.username);
    for _ in 0..MAX_VERIFICATIONS {
        let find = async { Ok(app.store.find_credentials(email.clone()).await?) };
        let (username, password) = (&login.username, login.password.clone());
        let refusal = EventKind::LoginRefused;
        let Verified { credentials, stronger_hash } =
            check_password(app, client, username, password, find, refusal).await?;
        if let Some(stronger) = stronger_hash {
            upgrade_hash(app, &credentials, stronger).await;
        }
        if let Some(token) = issue(app, client, &login, email.clone(), credentials).await? {
            return Ok(token);
        }
    }
    Err(ApiError::Overloaded)
}

/// Issues a token after the password was verified. Returns `None` if the account has revoked its
/// tokens since: the new token would be revoked too.
async fn issue(
    app: &Arc<AppState>,
    client: ClientIp,
    login: &PasswordLogin,
    email: TypedEmail,
    credentials: Credentials,
) -> ApiResult<Option<Token>> {
    let session = login.wants_refresh_token.then(|| login.user_agent.clone());
    audit::run_to_completion(app, |app| async move {
        let Credentials { user_id, tokens_valid_from, .. } = credentials;
        let token = if let Some(user_agent) = session {
            start_session(&app, &credentials, user_agent).await?
        } else {
            let current = app.store.find_credentials(email).await?.filter(|current| {
                (current.user_id, current.tokens_valid_from) == (user_id, tokens_valid_from)
            });
            let access = app.tokens.issue(user_id, tokens_valid_from)?;
            current.map(|_| Token::new(access))
        };
        if token.is_some() {
            audit::record(&app, client, user_id, EventKind::LoggedIn).await;
        }
        Ok(token)
    })
    .await
}

/// Log out everywhere
///
/// Revokes all tokens of the account, the token of this request included.
#[utoipa::path(
    post, path = "/logout", operation_id = "logOut", tag = "Login",
    responses(
        (status = 204, description = "Successful Response"),
        TokenErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn sign_out(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    client: ClientIp,
) -> ApiResult<StatusCode> {
    audit::run_to_completion(&app, |app| async move {
        app.store.sign_out(caller, app.clock.now()).await?;
        audit::record(&app, client, caller.user_id, EventKind::SignedOut).await;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Stores the stronger hash. If the store fails, the login still succeeds, and the next login
/// retries.
async fn upgrade_hash(app: &AppState, credentials: &Credentials, stronger: PasswordHash) {
    let weak = credentials.password_hash.clone();
    let upgraded = app.store.upgrade_password_hash(credentials.user_id, weak, stronger).await;
    if let Err(error) = upgraded {
        tracing::warn!(error = error_chain(&error), "could not upgrade a password hash");
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
