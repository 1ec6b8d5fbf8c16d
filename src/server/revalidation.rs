//! Revalidation (RFC 9110, 13.1.2): a client that has the current response gets 304 without a body.
//!
//! Not here: the tags of responses, see `api/entity_tag.rs`; conditions of changes, see
//! `api/input/conditions.rs`.

use axum::body::Body;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use crate::api::EntityTagList;

/// The versions of the response that the client has. `None` if the request names none. A malformed
/// header counts as absent, because the whole response is right for every client.
pub(super) fn known_tags(method: &Method, headers: &HeaderMap) -> Option<EntityTagList> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if !is_read || !headers.contains_key(IF_NONE_MATCH) {
        return None;
    }
    EntityTagList::parse(headers.get_all(IF_NONE_MATCH))
}

/// Returns 304 instead of a response that the client has.
pub(super) fn revalidate(known: Option<&EntityTagList>, mut response: Response) -> Response {
    let is_known =
        known.zip(response.headers().get(ETAG)).is_some_and(|(known, tag)| known.has(tag));
    if !is_known || response.status() != StatusCode::OK {
        return response;
    }
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = Body::empty();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
        response.headers_mut().remove(name);
    }
    response
}
