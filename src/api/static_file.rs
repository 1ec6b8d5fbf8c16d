//! Files that are embedded in the binary, as responses: with an entity tag, and compressed for
//! clients that accept gzip.
//!
//! Not here: the files, see `docs.rs` and `pages.rs`.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, VARY,
};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::content_coding::{accepts_gzip, gzip};
use super::error::ApiResult;
use super::large_work::LargeWork;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const STYLE: &str = "text/css; charset=utf-8";

/// Marks a response whose bytes all clients share. It takes no memory of its own.
#[derive(Debug, Clone)]
pub struct StaticBody;

/// A smaller file fits into one packet as it is.
const MIN_COMPRESSED_BYTES: usize = 1024;

/// A file with its headers.
pub(super) struct StaticFile {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    tag: HeaderValue,
    gzip: Option<GzipForm>,
}

/// The compressed form of a file. The first client that accepts it causes its compression.
struct GzipForm {
    body: OnceCell<Bytes>,
    tag: HeaderValue,
}

impl StaticFile {
    pub(super) fn new(content_type: &str, body: Cow<'static, [u8]>, policy: Option<&str>) -> Self {
        let hash = STANDARD.encode(Sha256::digest(&body));
        let hash = hash.get(..16).unwrap_or(&hash);
        let mut headers = vec![
            (CONTENT_TYPE, header_value(content_type)),
            // Browsers cache the file but revalidate it each time, so they show a new release at
            // once.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        if let Some(policy) = policy {
            headers.push((CONTENT_SECURITY_POLICY, header_value(policy)));
        }
        let body = match body {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let is_compressible =
            body.len() >= MIN_COMPRESSED_BYTES && !content_type.starts_with("image/");
        // A strong tag names one form (RFC 9110, 8.8.3.3).
        let gzip = is_compressible.then(|| GzipForm {
            body: OnceCell::new(),
            tag: header_value(&format!("\"{hash}-gz\"")),
        });
        if gzip.is_some() {
            headers.push((VARY, HeaderValue::from_static("accept-encoding")));
        }
        Self { headers, body, tag: header_value(&format!("\"{hash}\"")), gzip }
    }

    /// Adds a header to every response.
    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, header_value(value)));
        self
    }

    /// Returns the file in the form that the client accepts.
    pub(super) async fn respond(
        &self,
        request: &HeaderMap,
        large_work: &LargeWork,
    ) -> ApiResult<Response> {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(request));
        let (body, tag) = match gzip {
            Some(gzip) => (self.compress_once(gzip, large_work).await?, &gzip.tag),
            None => (&self.body, &self.tag),
        };
        let mut response = Response::new(Body::from(body.clone()));
        let headers = response.headers_mut();
        headers.extend(self.headers.iter().cloned());
        headers.insert(ETAG, tag.clone());
        if gzip.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response.extensions_mut().insert(StaticBody);
        Ok(response)
    }

    async fn compress_once<'a>(
        &self,
        form: &'a GzipForm,
        large_work: &LargeWork,
    ) -> ApiResult<&'a Bytes> {
        let compress = || async {
            let body = self.body.clone();
            large_work.run(body.len(), move || gzip(&body)).await?
        };
        form.body.get_or_try_init(compress).await
    }
}

/// Every value is a constant or base64, so it is plain ASCII and always valid.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
