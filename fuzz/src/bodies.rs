//! Targets for request bodies: the service stores an accepted body unchanged. It rejects any other
//! body with an error that the OpenAPI document describes.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use crate::FuzzTarget;
use crate::service::{AUTHOR, Service};
use crate::support::{FORM, PASSWORD, TestResponse};

const JSON_ROUTES: [(Method, &str); 4] = [
    (Method::POST, "/posts"),
    (Method::PUT, "/posts/1"),
    (Method::POST, "/vote"),
    (Method::POST, "/users"),
];

const FORM_TYPES: [&str; 4] =
    [FORM, "multipart/form-data; boundary=b", "application/x-www-form-urlencoded; charset=x", ""];

/// The first byte selects the route, the rest is the body.
pub(crate) fn prepare_json() -> FuzzTarget {
    let service = Service::start(false);
    let token = service.token_of(AUTHOR);
    Box::new(move |data| {
        let Some((first, body)) = data.split_first() else { return };
        let (method, path) = &JSON_ROUTES[usize::from(*first) % JSON_ROUTES.len()];
        let request = Request::builder()
            .method(method)
            .uri(*path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        service.reset();
        let response = service.send(request.body(Body::from(body.to_vec())).unwrap());
        if response.status.is_success() {
            assert_stored_unchanged(body, &response);
        }
    })
}

/// Compares the response with the body as another JSON parser reads it.
fn assert_stored_unchanged(body: &[u8], response: &TestResponse) {
    // The service ignores a byte order mark, as the reference service does.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let sent: Value = serde_json::from_slice(body).expect("an accepted body is JSON");
    let response = response.json();
    for name in ["title", "content"] {
        if response[name].is_string() {
            assert_eq!(response[name], sent[name], "{name}");
        }
    }
    if sent["published"].is_boolean() && response["published"].is_boolean() {
        assert_eq!(response["published"], sent["published"]);
    }
}

/// The first byte selects the content type, the rest is the body.
pub(crate) fn prepare_form() -> FuzzTarget {
    let service = Service::start(false);
    Box::new(move |data| {
        let Some((first, body)) = data.split_first() else { return };
        let content_type = FORM_TYPES[usize::from(*first) % FORM_TYPES.len()];
        let request =
            Request::builder().method("POST").uri("/login").header("content-type", content_type);
        service.reset();
        let response = service.send(request.body(Body::from(body.to_vec())).unwrap());
        if response.status.is_success() {
            assert_password_is_correct(content_type, body);
        }
    })
}

/// Checks that the body of a successful login has the correct password.
fn assert_password_is_correct(content_type: &str, body: &[u8]) {
    if content_type.starts_with("multipart") {
        let contains = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
        assert!(contains(PASSWORD.as_bytes()) && contains(b"@"));
        return;
    }
    let last = |name: &str| {
        let fields = form_urlencoded::parse(body);
        fields.filter(|(other, _)| other == name).last().map(|(_, value)| value.into_owned())
    };
    assert_eq!(last("password").as_deref(), Some(PASSWORD));
    let username = last("username").expect("a login has a username").to_lowercase();
    assert!(username.contains("author") || username.contains("otheruser"), "{username}");
}
