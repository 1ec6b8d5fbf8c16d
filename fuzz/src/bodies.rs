//! Bodies alone, byte by byte: what is taken is what was sent, and what is not is refused in the words
//! of the document.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use crate::Attack;
use crate::response_checker::Judge;
use crate::service::{AUTHOR, Service};
use crate::support::{Answer, FORM, PASSWORD};

const JSON_ROUTES: [(Method, &str); 4] = [
    (Method::POST, "/posts"),
    (Method::PUT, "/posts/1"),
    (Method::POST, "/vote"),
    (Method::POST, "/users"),
];

const FORM_TYPES: [&str; 4] =
    [FORM, "multipart/form-data; boundary=b", "application/x-www-form-urlencoded; charset=x", ""];

/// The first byte says where the others go.
pub(crate) fn open_json() -> Attack {
    let service = Service::start(false);
    let judge = Judge::of(&service);
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
        let answer = service.send(request.body(Body::from(body.to_vec())).unwrap());
        judge.check(method, path, &answer);
        if answer.status.is_success() {
            assert_taken_as_sent(body, &answer);
        }
    })
}

/// By another reader of JSON.
fn assert_taken_as_sent(body: &[u8], answer: &Answer) {
    // As the reference, the service looks over a mark of byte order.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let sent: Value = serde_json::from_slice(body).expect("what was taken is JSON");
    let answer = answer.json();
    for name in ["title", "content"] {
        if answer[name].is_string() {
            assert_eq!(answer[name], sent[name], "{name}");
        }
    }
    if sent["published"].is_boolean() && answer["published"].is_boolean() {
        assert_eq!(answer["published"], sent["published"]);
    }
}

/// The first byte says what the others are called.
pub(crate) fn open_form() -> Attack {
    let service = Service::start(false);
    let judge = Judge::of(&service);
    Box::new(move |data| {
        let Some((first, body)) = data.split_first() else { return };
        let media = FORM_TYPES[usize::from(*first) % FORM_TYPES.len()];
        let request = Request::builder().method("POST").uri("/login").header("content-type", media);
        service.reset();
        let answer = service.send(request.body(Body::from(body.to_vec())).unwrap());
        judge.check(&Method::POST, "/login", &answer);
        if answer.status.is_success() {
            assert_knew_the_password(media, body);
        }
    })
}

/// Nobody is let in who did not send a password that is right.
fn assert_knew_the_password(media: &str, body: &[u8]) {
    if media.starts_with("multipart") {
        let is_there = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
        assert!(is_there(PASSWORD.as_bytes()) && is_there(b"@"));
        return;
    }
    let last = |name: &str| {
        let fields = form_urlencoded::parse(body);
        fields.filter(|(other, _)| other == name).last().map(|(_, value)| value.into_owned())
    };
    assert_eq!(last("password").as_deref(), Some(PASSWORD));
    let username = last("username").expect("somebody").to_lowercase();
    assert!(username.contains("author") || username.contains("stranger"), "{username}");
}
