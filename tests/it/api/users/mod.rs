//! `/users`.

/// `POST /users`
mod create;

/// `GET /users/{id}`
mod get;

/// `DELETE /users/{id}`
mod delete;

/// `/users/me`
pub(super) mod me;
