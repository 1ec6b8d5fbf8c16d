//! Parses urlencoded and multipart forms into name-value pairs, in the order of the request.

use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;

use crate::api::error::ApiError;

/// The type of a body, as `Content-Type` states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum MediaType {
    Absent,
    Json,
    UrlEncoded,
    Multipart,
    Other,
}

impl MediaType {
    /// Returns the type of the request. Parameters and case are ignored.
    pub(in crate::api) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Self::Absent;
        };
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let essence = value.split(';').next().unwrap_or_default().trim();
        match essence {
            "" => Self::Absent,
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::UrlEncoded,
            "multipart/form-data" => Self::Multipart,
            _ if essence.starts_with("application/") && essence.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

/// Maximum number of fields in a form or a query. Valid requests have far fewer.
const MAX_FIELDS: usize = 1000;

/// Returns the pairs of a query or a urlencoded body. Bytes that are not UTF-8 become U+FFFD. Beyond
/// [`MAX_FIELDS`] only the last fields are kept, because the last one of repeated fields counts.
pub(in crate::api) fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    let fields = encoded.rsplit(|&byte| byte == b'&').take(MAX_FIELDS);
    let length: usize = fields.map(|field| field.len() + 1).sum();
    let kept = encoded.get((encoded.len() + 1).saturating_sub(length)..).unwrap_or_default();
    form_urlencoded::parse(kept).into_owned().collect()
}

/// Returns the text fields of a multipart body, without its files.
///
/// # Errors
/// [`ApiError::MissingBoundary`] if the type has no boundary. [`ApiError::UnreadableBody`] if the
/// body is malformed or has more than [`MAX_FIELDS`] parts.
pub(in crate::api) async fn multipart(
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Vec<(String, String)>, ApiError> {
    let has_parts = has_parts(&body);
    let mut request = Request::new(axum::body::Body::from(body));
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    let mut multipart =
        Multipart::from_request(request, &()).await.map_err(|_| ApiError::MissingBoundary)?;
    let mut fields = Vec::new();
    if !has_parts {
        return Ok(fields);
    }
    let mut parts = 0;
    while let Some(field) = multipart.next_field().await.map_err(|_| ApiError::UnreadableBody)? {
        let name = field.name().map(str::to_owned);
        let is_file = field.file_name().is_some();
        let value = field.bytes().await.map_err(|_| ApiError::UnreadableBody)?;
        if let (Some(name), false) = (name, is_file) {
            fields.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
        parts += 1;
        if parts > MAX_FIELDS {
            return Err(ApiError::UnreadableBody);
        }
    }
    Ok(fields)
}

/// Returns whether a multipart body has more than delimiters. The reference service reads a body of
/// delimiters, or none, as a form without fields.
fn has_parts(body: &[u8]) -> bool {
    let mut lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let is_delimiter = |line: &[u8]| line.is_empty() || line.starts_with(b"--");
    let has_empty_part = body.windows(4).any(|bytes| bytes == b"\r\n\r\n");
    has_empty_part || !lines.all(is_delimiter)
}

#[cfg(test)]
mod tests {
    use super::{MAX_FIELDS, pairs};

    #[test]
    fn excess_fields_at_the_start_are_dropped() {
        let form = |fields: usize| {
            let fields: Vec<String> = (0..fields).map(|number| format!("n={number}")).collect();
            pairs(fields.join("&").as_bytes())
        };
        for (fields, first) in [(1, "0"), (MAX_FIELDS, "0"), (MAX_FIELDS + 1, "1")] {
            let kept = form(fields);
            assert_eq!(kept.len(), fields.min(MAX_FIELDS));
            assert_eq!(kept[0], ("n".to_owned(), first.to_owned()));
        }
        assert!(pairs(b"").is_empty() && pairs(b"&&").is_empty());
    }
}
