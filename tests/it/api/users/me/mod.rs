//! `/users/me`.

/// `GET /users/me`
mod get;

/// `PATCH /users/me`
mod email;

/// `PATCH /users/me` with a name
mod name;

/// `GET /users/me/export`
mod export;

/// `GET /users/me/votes`
mod votes;

/// `POST /users/me/password`
mod password;

/// `DELETE /users/me`
mod delete;

/// `/users/me/sessions`, and refresh tokens
mod sessions;

/// `/users/me/events`
mod events;

use crate::support::TestResponse;

/// Returns the access token of a login or of an account change.
pub(in crate::api) fn token(response: &TestResponse) -> String {
    assert_eq!(response.json()["token_type"], "bearer");
    response.json()["access_token"].as_str().unwrap().to_owned()
}
