//! Target for `If-Match` and `If-None-Match`: a read answers 200 or 304, and a change that it may
//! refuse has happened exactly if it says so.

use axum::body::Body;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use axum::http::{Method, Request};

use crate::FuzzTarget;
use crate::service::{AUTHOR, POST, Service};
use crate::support::TestResponse;

/// The service rejects a request with more than 100 header fields.
const MAX_FIELDS: usize = 90;

pub(crate) fn prepare() -> FuzzTarget {
    let service = Service::start(false);
    Box::new(move |data| {
        let Some(sent) = headers(data) else { return };
        service.reset();
        let before = send(&service, Method::GET, &HeaderMap::new()).expect(200);
        let tag = before.headers["etag"].clone();
        let read = send(&service, Method::GET, &sent);
        assert!([200, 304].contains(&read.status.as_u16()), "{read:?}");

        // A malformed list has no tag, and `*` has none beside it. In any other list the tag counts.
        let mut current = sent.clone();
        current.append(IF_NONE_MATCH, tag);
        let current = send(&service, Method::GET, &current);
        let change = send(&service, Method::PATCH, &sent);
        let is_malformed = names(&change).iter().any(|name| name == "if-none-match");
        // A list of more than 20 tags is malformed only in a change.
        let is_known = current.status == 304 || read.status == 304;
        assert!(is_malformed || is_known, "{sent:?}: {current:?}");

        let after = send(&service, Method::GET, &HeaderMap::new());
        let has_changed = after.headers["etag"] != before.headers["etag"];
        assert_eq!(has_changed, change.status == 200, "{sent:?}: {change:?}");
        assert!([200, 412, 422].contains(&change.status.as_u16()), "{change:?}");
    })
}

/// Returns the headers with errors.
fn names(response: &TestResponse) -> Vec<String> {
    if response.status != 422 {
        return Vec::new();
    }
    let body = response.json();
    let errors = body["detail"].as_array().unwrap().iter();
    errors.map(|error| error["loc"][1].as_str().unwrap().to_owned()).collect()
}

/// Parses the input into lines of the two header fields. The first byte of a line selects the
/// field.
fn headers(data: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let (selector, text) = line.split_first()?;
        let name = if selector % 2 == 0 { IF_MATCH } else { IF_NONE_MATCH };
        headers.append(name, HeaderValue::from_bytes(text).ok()?);
    }
    (headers.len() <= MAX_FIELDS).then_some(headers)
}

fn send(service: &Service, method: Method, headers: &HeaderMap) -> TestResponse {
    let authorization = format!("Bearer {}", service.token_of(AUTHOR));
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/posts/{POST}"))
        .header("host", "localhost")
        .header("authorization", authorization)
        .header(HeaderName::from_static("content-type"), "application/merge-patch+json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    service.send(request.body(Body::from(r#"{"title":"changed"}"#)).unwrap())
}
