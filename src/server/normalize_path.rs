//! Normalizes the path of a request, so that each route has one spelling: removes one trailing
//! slash, and decodes unreserved characters (RFC 3986, 6.2.2.2).
//!
//! There are no redirects, and no other normalization: `//posts` and `/posts/..` get 404. If a `%`
//! does not start a valid escape, the path stays unchanged: decoding the rest could create an
//! escape that a later step decodes again.

use axum::body::Body;
use axum::http::Request;
use axum::http::uri::{PathAndQuery, Uri};

use crate::api::SlashRemoved;

/// Returns the request with its path normalized. Marks it if its path had a slash at the end, to
/// which relative links of a page would be relative.
pub(super) fn normalize(mut request: Request<Body>) -> Request<Body> {
    if let Some(uri) = normalized(request.uri()) {
        if request.uri().path().ends_with('/') {
            request.extensions_mut().insert(SlashRemoved);
        }
        *request.uri_mut() = uri;
    }
    request
}

/// Returns the normalized URI, or `None` if the path is already normalized or has an invalid escape.
fn normalized(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let has_slash = path.len() > 1 && path.ends_with('/');
    if !has_slash && !path.contains('%') {
        return None;
    }
    let mut normalized = decode_unreserved(path)?;
    if has_slash {
        normalized.pop();
    }
    if let Some(query) = uri.query() {
        normalized.push('?');
        normalized.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(normalized).ok()?);
    Uri::from_parts(parts).ok()
}

/// Decodes the escapes of unreserved characters: ASCII letters, digits and `-._~`. Returns `None`
/// if a `%` does not start a valid escape.
fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(start) = rest.find('%') {
        let (before, from_percent) = rest.split_at(start);
        decoded.push_str(before);
        let (escape, after) = from_percent.split_at_checked(3)?;
        let letter = char::from(decode(escape)?);
        if letter.is_ascii_alphanumeric() || "-._~".contains(letter) {
            decoded.push(letter);
        } else {
            decoded.push_str(escape);
        }
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// Returns the byte that `%` and two hexadecimal digits encode.
fn decode(escape: &str) -> Option<u8> {
    let digits = escape.strip_prefix('%')?;
    // `from_str_radix` would also accept a sign.
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        let uri: Uri = text.parse().expect("a URI");
        normalized(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn one_trailing_slash_is_dropped() {
        assert_eq!(path("/posts/"), "/posts");
        assert_eq!(path("/posts/?limit=1"), "/posts?limit=1");
        assert_eq!(path("/posts//"), "/posts/");
        assert_eq!(path("/"), "/");
    }

    #[test]
    fn only_unreserved_characters_are_decoded() {
        assert_eq!(path("/%70osts/%30%31"), "/posts/01");
        assert_eq!(path("/posts/%252F%2F%20%c3%b6"), "/posts/%252F%2F%20%c3%b6");
    }

    #[test]
    fn decoded_escape_is_not_decoded_again() {
        assert_eq!(path("/posts/%2535"), "/posts/%2535");
        // Decoding the rest would turn these into escapes.
        for broken in
            ["/%", "/%4", "/%%335", "/%2%35", "/%%32%35", "/%g1", "/%+1", "/%70/%", "/%70%/", "/%é"]
        {
            assert_eq!(path(broken), broken);
        }
    }

    #[test]
    fn double_slashes_and_dot_segments_stay() {
        assert_eq!(path("//posts"), "//posts");
        assert_eq!(path("/posts/../users"), "/posts/../users");
    }
}
