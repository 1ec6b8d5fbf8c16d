//! The API: every route with its handler, and the list of operations in the OpenAPI document. A test
//! compares the two. Each path is written here once; the server normalizes other spellings of it.
//!
//! Not here: connections, TLS, timeouts and middleware, see `server`.

mod administration;
mod administrator;
mod audit;
mod background;
mod changes;
mod client_ip;
mod content_coding;
mod cursor;
mod docs;
mod document_policy;
mod entity_tag;
mod entity_tag_list;
mod error;
mod error_response;
mod extract;
mod find_counts;
mod find_ranking;
mod input;
mod installation_keys;
mod json_response;
mod json_text;
mod large_work;
mod link;
mod mails;
mod metrics;
pub mod openapi;
mod operations;
mod pages;
mod password_check;
mod rankings;
mod replay;
mod responses;
mod routes;
mod shutdown;
mod state;
mod static_file;
mod static_files;
mod tagged_json;
mod token;
mod writer;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, delete, get, post};
use utoipa::OpenApi;

use self::openapi::PasswordFlow;
use self::pages::Pages;
use self::routes::{
    admin_lists, change_tickets, changes as change_streams, email_verifications, events, health,
    jwks, login, me, me_export, me_include, own_votes, password_resets, post_include, post_list,
    posts, sessions, statistics, users, votes,
};

pub use administration::Administration;
pub use background::Background;
pub use changes::ChangeFeed;
pub use client_ip::ClientIp;
pub use docs::Documentation;
pub use entity_tag_list::EntityTagList;
pub use error::ApiError;
pub use error_response::{Failure, LimitReached};
pub use input::MAX_BODY_BYTES;
pub use installation_keys::InstallationKeys;
pub use large_work::LargeWork;
pub use metrics::ApiMetrics;
pub use operations::OPERATIONS;
pub use rankings::Rankings;
pub use shutdown::Shutdown;
pub use state::{AppState, Mails};
pub use static_file::StaticBody;

/// The pages for browsers that the service has besides the API.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageSwitches {
    /// The documentation: `/docs`, `/redoc` and `/openapi.json`.
    pub docs: bool,
    /// The pages at `/` and `/admin`.
    pub front_page: bool,
}

/// Marks a request whose path had a slash at its end, before the server removed the slash.
#[derive(Debug, Clone, Copy)]
pub struct SlashRemoved;

/// Returns the routes of the API and of these pages.
pub fn routes(app: AppState, switches: PageSwitches) -> Router {
    let routes = resources();
    let routes = if switches.docs { routes.merge(documentation()) } else { routes };
    let pages = switches.front_page.then(|| Arc::new(Pages::new(&app, switches.docs)));
    let routes = match &pages {
        Some(pages) => routes.merge(page_files(pages)),
        None => routes,
    };
    let routes = if app.mails.is_some() { routes.merge(links_in_mails()) } else { routes };
    // A proxy may leave the prefix on. More specific routes come first, so that no prefix hides
    // a route.
    let routes = match app.root_path.as_str() {
        "" => routes,
        prefix => routes.clone().merge(Router::new().nest(prefix, routes)),
    };
    let routes = match pages {
        Some(pages) => routes
            .route("/", get(routes::pages::serve_file).with_state(Arc::clone(&pages)))
            .fallback_service(page_at_prefix(pages)),
        None => routes.fallback(error::route_not_found),
    };
    routes.method_not_allowed_fallback(error::method_not_allowed).with_state(Arc::new(app))
}

fn resources() -> Router<Arc<AppState>> {
    Router::new()
        .route("/login", post(login::login))
        .route("/logout", post(login::sign_out))
        .route("/users", post(users::create_user))
        .route("/users/me", get(me::get_me).patch(me::update_me).delete(me::delete_me))
        .route("/users/me/password", post(me::change_password))
        .route("/users/me/export", get(me_export::export_me))
        .route("/users/me/votes", get(own_votes::list_own_votes))
        .route("/users/me/events", get(events::list_events))
        .route("/users/me/sessions", get(sessions::list_sessions).delete(sessions::end_sessions))
        .route("/users/me/sessions/{id}", delete(sessions::end_session))
        .route("/users/{id}", get(users::get_user).delete(users::delete_user))
        .route("/posts", get(post_list::list_posts).post(posts::create_post))
        .route("/posts/changes", get(change_streams::stream_changes))
        .route("/posts/changes/tickets", post(change_tickets::create_ticket))
        .route(
            "/posts/{id}",
            get(posts::get_post)
                .put(posts::replace_post)
                .patch(posts::update_post)
                .delete(posts::delete_post),
        )
        .route("/vote", post(votes::cast_vote))
        .route("/admin/statistics", get(statistics::read_statistics))
        .route("/admin/users", get(admin_lists::list_users))
        .route("/admin/events", get(admin_lists::list_events))
        .route("/.well-known/jwks.json", get(jwks::list_keys))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
}

fn documentation() -> Router<Arc<AppState>> {
    Router::new()
        .route("/openapi.json", get(routes::docs::serve_file))
        .route("/docs", get(routes::docs::serve_file))
        .route("/docs/oauth2-redirect", get(routes::docs::serve_file))
        .route("/docs/{file}", get(routes::docs::serve_file))
        .route("/redoc", get(routes::docs::serve_file))
}

fn links_in_mails() -> Router<Arc<AppState>> {
    Router::new()
        .route("/password-resets", post(password_resets::request_password_reset))
        .route("/password-resets/confirm", post(password_resets::confirm_password_reset))
        .route(
            "/users/me/email/verifications",
            post(email_verifications::request_email_verification),
        )
        .route("/email-verifications", post(email_verifications::verify_email))
}

fn page_files(pages: &Arc<Pages>) -> Router<Arc<AppState>> {
    Router::new()
        .route("/app.css", get(routes::pages::serve_file))
        .route("/app.js", get(routes::pages::serve_file))
        .route("/app/{file}", get(routes::pages::serve_file))
        .route("/admin", get(routes::pages::serve_admin_page))
        .with_state(Arc::clone(pages))
}

fn page_at_prefix(pages: Arc<Pages>) -> MethodRouter {
    get(routes::pages::serve_page_at_prefix).fallback(error::route_not_found).with_state(pages)
}

/// The same operations in the OpenAPI document. Handlers describe them, `openapi` writes the document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Post Management API", description = include_str!("introduction.md")),
    tags(
        (name = "Users", description = "Accounts"),
        (name = "Login", description = "Tokens"),
        (name = "Sessions", description = "Logins with a refresh token"),
        (name = "E-mail", description = "Links in mails, if the service sends mails"),
        (name = "Posts", description = "Posts and drafts"),
        (name = "Votes", description = "Votes on posts"),
        (name = "Administration", description = "Reads for administrators"),
        (name = "Keys", description = "Public keys, for services that verify tokens"),
        (name = "Health", description = "Probes"),
    ),
    paths(
        users::create_user,
        me::get_me,
        me::update_me,
        me_export::export_me,
        own_votes::list_own_votes,
        me::change_password,
        me::delete_me,
        events::list_events,
        users::get_user,
        users::delete_user,
        login::login,
        login::sign_out,
        sessions::list_sessions,
        sessions::end_session,
        sessions::end_sessions,
        password_resets::request_password_reset,
        password_resets::confirm_password_reset,
        email_verifications::request_email_verification,
        email_verifications::verify_email,
        post_list::list_posts,
        posts::create_post,
        change_streams::stream_changes,
        change_tickets::create_ticket,
        posts::get_post,
        posts::replace_post,
        posts::update_post,
        posts::delete_post,
        votes::cast_vote,
        statistics::read_statistics,
        admin_lists::list_users,
        admin_lists::list_events,
        jwks::list_keys,
        health::livez,
        health::readyz,
    ),
    components(schemas(
        responses::ErrorBody,
        responses::HTTPValidationError,
        responses::ValidationError,
        responses::LocationPart,
        login::RefreshTokenGrant,
        post_include::IncludedPart,
        users::UserInclude,
        me_include::MeInclude,
        me_export::ExportLine,
    )),
    modifiers(&PasswordFlow),
)]
struct ApiDocument;
