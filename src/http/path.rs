//! One spelling for each path, so that the route page needs but one: with and without a slash at
//! its end are the same, and a letter is the same letter when it is percent-encoded (RFC 3986,
//! 6.2.2.2). Nothing is ever redirected, and nothing else is folded: `//posts` and `/posts/..`
//! are no routes, and a path with a `%` that begins no escape stays as it came, since that `%` and what
//! is decoded behind it could look like one, to be decoded again.

use axum::body::Body;
use axum::http::Request;
use axum::http::uri::{PathAndQuery, Uri};

/// The request with its path in the one spelling.
pub(super) fn normalise(mut request: Request<Body>) -> Request<Body> {
    if let Some(uri) = normalised(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// `None` if the path is in that spelling already, or has none.
fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let has_slash = path.len() > 1 && path.ends_with('/');
    if !has_slash && !path.contains('%') {
        return None;
    }
    let mut spelling = decode_unreserved(path)?;
    if has_slash {
        spelling.pop();
    }
    if let Some(query) = uri.query() {
        spelling.push('?');
        spelling.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(spelling).ok()?);
    Uri::from_parts(parts).ok()
}

/// Decodes what needs no encoding: ASCII letters, digits and `-._~`. `None` if a `%` begins no escape.
fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(start) = rest.find('%') {
        let (before, from_percent) = rest.split_at(start);
        decoded.push_str(before);
        let (escape, behind) = from_percent.split_at_checked(3)?;
        let letter = char::from(decode(escape)?);
        if letter.is_ascii_alphanumeric() || "-._~".contains(letter) {
            decoded.push(letter);
        } else {
            decoded.push_str(escape);
        }
        rest = behind;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// The byte that `%` and two hexadecimal digits stand for.
fn decode(escape: &str) -> Option<u8> {
    let digits = escape.strip_prefix('%')?;
    // A sign would do for a number, and is no digit.
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        let uri: Uri = text.parse().expect("a URI");
        normalised(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn one_slash_at_the_end_is_dropped() {
        assert_eq!(path("/posts/"), "/posts");
        assert_eq!(path("/posts/?limit=1"), "/posts?limit=1");
        assert_eq!(path("/posts//"), "/posts/");
        assert_eq!(path("/"), "/");
    }

    #[test]
    fn only_what_needs_no_encoding_is_decoded() {
        assert_eq!(path("/%70osts/%30%31"), "/posts/01");
        assert_eq!(path("/posts/%252F%2F%20%c3%b6"), "/posts/%252F%2F%20%c3%b6");
    }

    #[test]
    fn what_is_decoded_is_not_decoded_again() {
        assert_eq!(path("/posts/%2535"), "/posts/%2535");
        // A sign that is no escape would become one with what follows it.
        for broken in
            ["/%", "/%4", "/%%335", "/%2%35", "/%%32%35", "/%g1", "/%+1", "/%70/%", "/%70%/", "/%é"]
        {
            assert_eq!(path(broken), broken);
        }
    }

    #[test]
    fn nothing_else_is_folded() {
        assert_eq!(path("//posts"), "//posts");
        assert_eq!(path("/posts/../users"), "/posts/../users");
    }
}
