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
use super::large_work::LargeWork;
use super::static_file::{HTML, SCRIPT, STYLE, StaticFile};
use super::static_files::StaticFiles;

/// The files of Swagger UI that its page loads.
const SWAGGER_FILES: [&str; 3] =
    ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/favicon-32x32.png"];

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
pub struct Documentation(OnceLock<Result<StaticFiles, MissingFile>>);

impl Documentation {
    /// Returns the pages and their files, for an API that a proxy publishes below `root_path`. Later
    /// calls return the files of the first.
    pub(super) fn files(
        &self,
        root_path: &str,
        title: &str,
        large_work: &LargeWork,
        document: impl FnOnce() -> String,
    ) -> ApiResult<&StaticFiles> {
        let build = || Ok(StaticFiles::new(build(document(), root_path, title)?, large_work));
        self.0.get_or_init(build).as_ref().map_err(|missing| ApiError::internal(*missing))
    }
}

/// Builds the pages and their files, unless a crate does not contain an expected file.
fn build(
    document: String,
    root_path: &str,
    title: &str,
) -> Result<Vec<(&'static str, StaticFile)>, MissingFile> {
    // The settings reject braces, so no value contains a placeholder.
    let page = |page: &str, policy: &str| {
        let page = page.replace("{{root_path}}", root_path).replace("{{title}}", title);
        StaticFile::new(HTML, page.into_bytes().into(), Some(policy))
    };
    let script = |text: String| StaticFile::new(SCRIPT, text.into_bytes().into(), None);
    let start = include_bytes!("../../assets/start.js").as_slice();
    let style = include_bytes!("../../assets/page.css").as_slice();
    let redirect = include_str!("../../assets/oauth2-redirect.html");
    let mut files = vec![
        ("openapi.json", StaticFile::new("application/json", document.into_bytes().into(), None)),
        ("docs", page(include_str!("../../assets/swagger.html"), SWAGGER_POLICY)),
        ("docs/oauth2-redirect", page(redirect, SWAGGER_POLICY)),
        ("docs/oauth2-redirect.js", script(redirect_script()?)),
        ("docs/start.js", StaticFile::new(SCRIPT, start.into(), None)),
        ("docs/page.css", StaticFile::new(STYLE, style.into(), None)),
        ("redoc", page(include_str!("../../assets/redoc.html"), REDOC_POLICY)),
        ("docs/redoc.js", script(redoc_script()?)),
    ];
    for path in SWAGGER_FILES {
        let (bytes, content_type) = swagger_file(path)?;
        files.push((path, StaticFile::new(&content_type, bytes, None)));
    }
    Ok(files)
}

/// A crate does not contain an expected file.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the documentation file {0} is missing from the binary")]
struct MissingFile(&'static str);

fn swagger_file(path: &'static str) -> Result<(Cow<'static, [u8]>, String), MissingFile> {
    let name = path.strip_prefix("docs/").unwrap_or(path);
    let config = Arc::new(utoipa_swagger_ui::Config::<'static>::from("/openapi.json"));
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) if file.content_type.starts_with("text/") => {
            Ok((file.bytes, format!("{}; charset=utf-8", file.content_type)))
        }
        Ok(Some(file)) => Ok((file.bytes, file.content_type)),
        _ => Err(MissingFile(path)),
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
        _ => Err(MissingFile("docs/redoc.js")),
    }
}

/// Returns the script of the redirect page. It needs the page that has opened it, and does nothing
/// for a visitor who opens it directly.
fn redirect_script() -> Result<String, MissingFile> {
    const NAME: &str = "docs/oauth2-redirect.js";
    let (bytes, _) = swagger_file(NAME)?;
    let script = std::str::from_utf8(&bytes).map_err(|_| MissingFile(NAME))?;
    Ok(format!("if (window.opener) {{\n{script}\n}}\n"))
}
