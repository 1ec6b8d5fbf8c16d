//! `/users`.

/// `POST /users`
mod create;

/// `GET /users/{id}`
mod get;

/// `DELETE /users/{id}`
mod delete;

/// `/users/me`: the caller's account, sessions and events
pub(super) mod me;
