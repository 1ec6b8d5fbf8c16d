//! `/users`.

/// `POST /users`
mod create;

/// `GET /users/{id}`
mod get;

/// `DELETE /users/{id}`
mod delete;

/// `PATCH /users/me`, `POST /users/me/password`, `POST /logout`, confirmed deletions
mod account;

/// `/users/me/sessions`, and logins that last
mod sessions;

/// `/users/me`
mod me;
