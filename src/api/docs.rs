//! The documentation pages and their headers, all embedded in the binary. Swagger UI and `ReDoc`
//! come from the crates `utoipa-swagger-ui` and `aide`. The pages, the style and the start script
//! come from `assets/`. The Content-Security-Policy keeps browsers from loading anything from other
//! hosts.
//!
//! Not here: the handlers, see `routes/docs.rs`; how a file becomes a response, see
//! `static_file.rs`.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::error::{ApiError, ApiResult};
use super::static_file::{HTML, SCRIPT, STYLE, StaticFile};

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
    pub(super) document: StaticFile,
    pub(super) swagger: StaticFile,
    pub(super) redirect: StaticFile,
    pub(super) redoc: StaticFile,
    assets: Vec<(&'static str, StaticFile)>,
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
            ("start.js", StaticFile::new(SCRIPT, start.into(), None)),
            ("page.css", StaticFile::new(STYLE, style.into(), None)),
            ("redoc.js", StaticFile::new(SCRIPT, redoc_script()?.into_bytes().into(), None)),
        ];
        for name in SWAGGER_FILES {
            let (bytes, content_type) = swagger_file(name)?;
            assets.push((name, StaticFile::new(&content_type, bytes, None)));
        }
        let script = redirect_script()?.into_bytes();
        assets.push(("oauth2-redirect.js", StaticFile::new(SCRIPT, script.into(), None)));
        let redirect = fill(include_str!("../../assets/oauth2-redirect.html"));
        Ok(Self {
            document: StaticFile::new("application/json", document.into_bytes().into(), None),
            swagger: StaticFile::new(HTML, swagger.into_bytes().into(), Some(SWAGGER_POLICY)),
            redirect: StaticFile::new(HTML, redirect.into_bytes().into(), Some(SWAGGER_POLICY)),
            redoc: StaticFile::new(HTML, redoc.into_bytes().into(), Some(REDOC_POLICY)),
            assets,
        })
    }

    /// Returns a file by its name.
    pub(super) fn asset(&self, name: &str) -> Option<&StaticFile> {
        self.assets.iter().find(|(other, _)| *other == name).map(|(_, page)| page)
    }
}

/// A crate does not contain an expected file.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the documentation file {0} is missing from the binary")]
struct MissingFile(&'static str);

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
