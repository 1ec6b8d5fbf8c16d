//! The head of the document at `/openapi.json`, and the list of what it describes. The
//! descriptions themselves stand at the handlers.

use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, ServerBuilder};
use utoipa::{Modify, OpenApi};

use super::{
    account, audit, health, jwks, login, post_list, posts, responses, sessions, users, votes,
};

pub const TITLE: &str = "Post Management API";

/// The document as JSON, for a service that a proxy shows below `root_path`.
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
        account::sign_out,
        users::create_user,
        account::get_me,
        account::change_email,
        account::delete_me,
        account::change_password,
        audit::list_events,
        sessions::list_sessions,
        sessions::end_sessions,
        sessions::end_session,
        users::get_user,
        account::delete_user,
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
        responses::Refusal,
        responses::HTTPValidationError,
        responses::ValidationError,
        responses::LocationPart,
    )),
    modifiers(&PasswordFlow),
)]
struct Description;

/// How a token is come by: the OAuth2 password flow at `/login`.
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
