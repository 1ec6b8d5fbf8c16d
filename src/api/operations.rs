//! The operations of the API, as metrics name them. A test compares them with the OpenAPI document.
//!
//! Not here: their handlers, see `mod.rs`.

/// The method and the path of each operation, as the router has them.
pub const OPERATIONS: [(&str, &str); 31] = [
    ("GET", "/.well-known/jwks.json"),
    ("POST", "/email-verifications"),
    ("GET", "/livez"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("POST", "/password-resets"),
    ("POST", "/password-resets/confirm"),
    ("GET", "/posts"),
    ("POST", "/posts"),
    ("GET", "/posts/changes"),
    ("POST", "/posts/changes/tickets"),
    ("DELETE", "/posts/{id}"),
    ("GET", "/posts/{id}"),
    ("PATCH", "/posts/{id}"),
    ("PUT", "/posts/{id}"),
    ("GET", "/readyz"),
    ("POST", "/users"),
    ("DELETE", "/users/me"),
    ("GET", "/users/me"),
    ("PATCH", "/users/me"),
    ("POST", "/users/me/email/verifications"),
    ("GET", "/users/me/events"),
    ("GET", "/users/me/export"),
    ("POST", "/users/me/password"),
    ("DELETE", "/users/me/sessions"),
    ("GET", "/users/me/sessions"),
    ("DELETE", "/users/me/sessions/{id}"),
    ("GET", "/users/me/votes"),
    ("DELETE", "/users/{id}"),
    ("GET", "/users/{id}"),
    ("POST", "/vote"),
];
