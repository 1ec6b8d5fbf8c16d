//! The OpenAPI document: its general part, and the list of its operations.
//!
//! Not here: the description of each operation, see its handler.

use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, ServerBuilder};
use utoipa::{Modify, OpenApi};

use super::responses;
use super::routes::{events, health, jwks, login, me, post_list, posts, sessions, users, votes};

pub const TITLE: &str = "Post Management API";

/// Returns the document as JSON, for an API that a proxy serves below `root_path`.
#[must_use]
pub fn document(root_path: &str) -> String {
    let mut document = Description::openapi();
    if !root_path.is_empty() {
        document.servers = Some(vec![ServerBuilder::new().url(root_path).build()]);
    }
    document.to_pretty_json().unwrap_or_default()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Post Management API", description = "Users, posts and votes."),
    paths(
        login::login,
        login::sign_out,
        users::create_user,
        me::get_me,
        me::change_email,
        me::delete_me,
        me::change_password,
        events::list_events,
        sessions::list_sessions,
        sessions::end_sessions,
        sessions::end_session,
        users::get_user,
        users::delete_user,
        post_list::list_posts,
        posts::create_post,
        posts::get_post,
        posts::replace_post,
        posts::delete_post,
        votes::cast_vote,
        jwks::list_keys,
        health::livez,
        health::readyz,
    ),
    components(schemas(
        responses::ErrorBody,
        responses::HTTPValidationError,
        responses::ValidationError,
        responses::LocationPart,
    )),
    modifiers(&PasswordFlow),
)]
struct Description;

/// Declares the OAuth2 password flow at `/login`.
struct PasswordFlow;

impl Modify for PasswordFlow {
    fn modify(&self, document: &mut Document) {
        let flow = Flow::Password(Password::new("login", Scopes::new()));
        let scheme = SecurityScheme::OAuth2(OAuth2::new([flow]));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("OAuth2PasswordBearer", scheme);
    }
}
