//! What we offer. This page has every path; each resource has its file, with the types of its
//! requests and responses and its handlers.
//!
//! Each path is written once: `http` gives it its other spellings. The document at
//! `/openapi.json` is made from the handlers' own descriptions (`openapi`), and a test holds it
//! against this page.

mod account;
mod audit;
mod health;
mod jwks;
mod login;
pub mod openapi;
mod post_list;
mod post_types;
mod posts;
mod responses;
mod sessions;
mod users;
mod votes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::http::{self, AppService, AppState, MiddlewareConfig};

/// The whole service, ready to be served.
pub fn routes(app: AppState, shell: MiddlewareConfig, with_pages: bool) -> AppService {
    let routes = Router::new()
        .route("/login", post(login::login))
        .route("/logout", post(account::sign_out))
        .route("/users", post(users::create_user))
        .route(
            "/users/me",
            get(account::get_me).patch(account::change_email).delete(account::delete_me),
        )
        .route("/users/me/password", post(account::change_password))
        .route("/users/me/events", get(audit::list_events))
        .route("/users/me/sessions", get(sessions::list_sessions).delete(sessions::end_sessions))
        .route("/users/me/sessions/{id}", delete(sessions::end_session))
        .route("/users/{id}", get(users::get_user).delete(account::delete_user))
        .route("/posts", get(post_list::list_posts).post(posts::create_post))
        .route(
            "/posts/{id}",
            get(posts::get_post).put(posts::replace_post).delete(posts::delete_post),
        )
        .route("/vote", post(votes::cast_vote))
        .route("/.well-known/jwks.json", get(jwks::list_keys))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz));
    let pages = Router::new()
        .route("/openapi.json", get(http::serve_document))
        .route("/docs", get(http::serve_swagger))
        .route("/docs/oauth2-redirect", get(http::serve_redirect))
        .route("/docs/{file}", get(http::serve_asset))
        .route("/redoc", get(http::serve_redoc));
    let large_responses = app.large_responses.clone();
    let routes = if with_pages { routes.merge(pages) } else { routes };
    let routes = routes
        .fallback(http::route_not_found)
        .method_not_allowed_fallback(http::method_not_allowed)
        .with_state(Arc::new(app));
    http::with_middleware(routes, shell, large_responses)
}
