//! The documentation pages and their headers, all embedded in the binary. Swagger UI and `ReDoc`
//! come from the crates `utoipa-swagger-ui` and `aide`. The pages, the style and the start script
//! come from `assets/`. The Content-Security-Policy keeps browsers from loading anything from other
//! hosts.
//!
//! Not here: the handlers, see `routes/docs.rs`.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

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
use super::error::{ApiError, ApiResult};
use super::large_work::LargeWork;

const HTML: &str = "text/html; charset=utf-8";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files of Swagger UI that its page loads.
const SWAGGER_FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// `ReDoc` needs inline styles, and a worker for its search.
const REDOC_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; \
    connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The logo of its vendor, which `ReDoc` loads from another host.
const REDOC_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";

/// The documentation. It is built for the first request for any of it: it takes up to 10 MiB, which
/// a service without visitors does not need, and building it delays a start.
#[derive(Default)]
pub struct Documentation(OnceLock<Result<Pages, MissingFile>>);

impl Documentation {
    /// Returns the pages for an API that a proxy publishes below `root_path`. Later calls return the
    /// pages of the first.
    pub(super) fn pages(
        &self,
        root_path: &str,
        title: &str,
        document: impl FnOnce() -> String,
    ) -> ApiResult<&Pages> {
        let pages = self.0.get_or_init(|| Pages::build(document(), root_path, title));
        pages.as_ref().map_err(|missing| ApiError::internal(*missing))
    }
}

/// All pages and files, with their headers.
pub(super) struct Pages {
    pub(super) document: Page,
    pub(super) swagger: Page,
    pub(super) redirect: Page,
    pub(super) redoc: Page,
    assets: Vec<(&'static str, Page)>,
}

impl Pages {
    /// Builds the pages, unless a crate does not contain an expected file.
    fn build(document: String, root_path: &str, title: &str) -> Result<Self, MissingFile> {
        // The settings reject braces, so no value contains a placeholder.
        let fill =
            |page: &str| page.replace("{{root_path}}", root_path).replace("{{title}}", title);
        let swagger = fill(include_str!("../../assets/swagger.html"));
        let redoc = fill(include_str!("../../assets/redoc.html"));
        let start = include_bytes!("../../assets/start.js").as_slice();
        let style = include_bytes!("../../assets/page.css").as_slice();
        let mut assets = vec![
            ("start.js", Page::new(SCRIPT, start.into(), None)),
            ("page.css", Page::new(STYLE, style.into(), None)),
            ("redoc.js", Page::new(SCRIPT, redoc_script()?.into_bytes().into(), None)),
        ];
        for name in SWAGGER_FILES {
            let (bytes, content_type) = swagger_file(name)?;
            assets.push((name, Page::new(&content_type, bytes, None)));
        }
        let script = redirect_script()?.into_bytes();
        assets.push(("oauth2-redirect.js", Page::new(SCRIPT, script.into(), None)));
        let redirect = fill(include_str!("../../assets/oauth2-redirect.html"));
        Ok(Self {
            document: Page::new("application/json", document.into_bytes().into(), None),
            swagger: Page::new(HTML, swagger.into_bytes().into(), Some(SWAGGER_POLICY)),
            redirect: Page::new(HTML, redirect.into_bytes().into(), Some(SWAGGER_POLICY)),
            redoc: Page::new(HTML, redoc.into_bytes().into(), Some(REDOC_POLICY)),
            assets,
        })
    }

    /// Returns a file by its name.
    pub(super) fn asset(&self, name: &str) -> Option<&Page> {
        self.assets.iter().find(|(other, _)| *other == name).map(|(_, page)| page)
    }
}

/// Marks a response whose bytes all clients share. It takes no memory of its own.
#[derive(Debug, Clone)]
pub struct StaticBody;

/// A crate does not contain an expected file.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the documentation file {0} is missing from the binary")]
struct MissingFile(&'static str);

/// A smaller file fits into one packet as it is.
const MIN_COMPRESSED_BYTES: usize = 1024;

/// A page or file with its headers.
pub(super) struct Page {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    tag: HeaderValue,
    gzip: Option<GzipPage>,
}

/// The compressed form of a page. The first client that accepts it causes its compression.
struct GzipPage {
    body: OnceCell<Bytes>,
    tag: HeaderValue,
}

impl Page {
    fn new(content_type: &str, body: Cow<'static, [u8]>, policy: Option<&str>) -> Self {
        let hash = STANDARD.encode(Sha256::digest(&body));
        let hash = hash.get(..16).unwrap_or(&hash);
        let mut headers = vec![
            (CONTENT_TYPE, header_value(content_type)),
            // Browsers cache the page but revalidate it each time, so they show a new release at
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
        let gzip = is_compressible.then(|| GzipPage {
            body: OnceCell::new(),
            tag: header_value(&format!("\"{hash}-gz\"")),
        });
        if gzip.is_some() {
            headers.push((VARY, HeaderValue::from_static("accept-encoding")));
        }
        Self { headers, body, tag: header_value(&format!("\"{hash}\"")), gzip }
    }

    /// Returns the page in the form that the client accepts.
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
        form: &'a GzipPage,
        large_work: &LargeWork,
    ) -> ApiResult<&'a Bytes> {
        let compress = || async {
            let body = self.body.clone();
            large_work.run(body.len(), move || gzip(&body)).await?
        };
        form.body.get_or_try_init(compress).await
    }
}

fn swagger_file(name: &'static str) -> Result<(Cow<'static, [u8]>, String), MissingFile> {
    let config = Arc::new(utoipa_swagger_ui::Config::<'static>::from("/openapi.json"));
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) if file.content_type.starts_with("text/") => {
            Ok((file.bytes, format!("{}; charset=utf-8", file.content_type)))
        }
        Ok(Some(file)) => Ok((file.bytes, file.content_type)),
        _ => Err(MissingFile(name)),
    }
}

/// Extracts `ReDoc` from the page that `aide` puts around it. As a separate file it needs no inline
/// script, and browsers cache it.
fn redoc_script() -> Result<String, MissingFile> {
    let page = aide::redoc::Redoc::new("").html();
    let script = page
        .split_once("<script>")
        .and_then(|(_, from_script)| from_script.rsplit_once("Redoc.init("))
        .map(|(script, _)| script.trim());
    // With a new version of `aide` the two splits could cut the page at the wrong position.
    match script {
        // `ReDoc` hides its logo if the image cannot be shown.
        Some(script) if script.starts_with("/*!") => Ok(script.replace(REDOC_LOGO, "data:,")),
        _ => Err(MissingFile("redoc.js")),
    }
}

/// Returns the script of the redirect page. It needs the page that has opened it, and does nothing
/// for a visitor who opens it directly.
fn redirect_script() -> Result<String, MissingFile> {
    const NAME: &str = "oauth2-redirect.js";
    let (bytes, _) = swagger_file(NAME)?;
    let script = std::str::from_utf8(&bytes).map_err(|_| MissingFile(NAME))?;
    Ok(format!("if (window.opener) {{\n{script}\n}}\n"))
}

/// Every value is a constant or base64, so it is plain ASCII and always valid.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
