//! Forms: urlencoded and multipart, as pairs in the order they came.

use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;

use super::error::ApiError;

/// What the content type says about a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Absent,
    Json,
    UrlEncoded,
    Multipart,
    Other,
}

impl MediaType {
    /// Of the request; parameters and case do not matter.
    pub(super) fn of(headers: &HeaderMap) -> Self {
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

/// Fields of a form or a query that are looked at: far more than any request has.
const MOST_FIELDS: usize = 1000;

/// The pairs of a query or of a urlencoded body; bytes that are not UTF-8 become U+FFFD. The last of
/// repeated ones counts, so that of too many the last are kept.
pub(super) fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    let fields = encoded.rsplit(|&byte| byte == b'&').take(MOST_FIELDS);
    let length: usize = fields.map(|field| field.len() + 1).sum();
    let kept = encoded.get((encoded.len() + 1).saturating_sub(length)..).unwrap_or_default();
    form_urlencoded::parse(kept).into_owned().collect()
}

/// The text fields of a multipart body; files are passed over.
pub(super) async fn multipart(
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Vec<(String, String)>, ApiError> {
    let mut request = Request::new(axum::body::Body::from(body));
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    let mut multipart =
        Multipart::from_request(request, &()).await.map_err(|_| ApiError::UnreadableBody)?;
    let mut fields = Vec::new();
    let mut parts = 0;
    while let Some(field) = multipart.next_field().await.map_err(|_| ApiError::UnreadableBody)? {
        let name = field.name().map(str::to_owned);
        let is_file = field.file_name().is_some();
        let value = field.bytes().await.map_err(|_| ApiError::UnreadableBody)?;
        if let (Some(name), false) = (name, is_file) {
            fields.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
        parts += 1;
        if parts > MOST_FIELDS {
            return Err(ApiError::UnreadableBody);
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::{MOST_FIELDS, pairs};

    #[test]
    fn of_too_many_fields_the_last_are_kept() {
        let form = |fields: usize| {
            let fields: Vec<String> = (0..fields).map(|number| format!("n={number}")).collect();
            pairs(fields.join("&").as_bytes())
        };
        for (fields, first) in [(1, "0"), (MOST_FIELDS, "0"), (MOST_FIELDS + 1, "1")] {
            let kept = form(fields);
            assert_eq!(kept.len(), fields.min(MOST_FIELDS));
            assert_eq!(kept[0], ("n".to_owned(), first.to_owned()));
        }
        assert!(pairs(b"").is_empty() && pairs(b"&&").is_empty());
    }
}
