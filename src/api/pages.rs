//! The pages at `/` and `/admin`, clients of the API, embedded in the binary. Their
//! Content-Security-Policy lets the browser load nothing from other hosts, and turn no text into
//! markup or code.
//!
//! Not here: the handlers, see `routes/pages.rs`.

use axum::http::header::LINK;

use super::state::AppState;
use super::static_file::{HTML, SCRIPT, STYLE, StaticFile};
use super::static_files::StaticFiles;

/// With `trusted-types 'none'` no script can create markup from text (W3C Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The modules of the script. A header makes browsers load them together with the script.
const MODULES: [(&str, &str); 6] = [
    ("app/account.js", include_str!("../../assets/app/account.js")),
    ("app/client.js", include_str!("../../assets/app/client.js")),
    ("app/dom.js", include_str!("../../assets/app/dom.js")),
    ("app/live.js", include_str!("../../assets/app/live.js")),
    ("app/posts.js", include_str!("../../assets/app/posts.js")),
    ("app/write.js", include_str!("../../assets/app/write.js")),
];

const OTHER_FILES: [(&str, &str, &str); 5] = [
    ("app.css", STYLE, include_str!("../../assets/app.css")),
    ("app.js", SCRIPT, include_str!("../../assets/app.js")),
    ("app/admin.css", STYLE, include_str!("../../assets/admin/admin.css")),
    ("app/admin.js", SCRIPT, include_str!("../../assets/admin/admin.js")),
    ("app/plots.js", SCRIPT, include_str!("../../assets/admin/plots.js")),
];

/// The pages and their files, with their headers.
pub(super) struct Pages {
    pub(super) files: StaticFiles,
    pub(super) root_path: String,
}

impl Pages {
    pub(super) fn new(app: &AppState, has_docs: bool) -> Self {
        // Relative without a prefix, so that a proxy can also publish the pages below a path that
        // the service does not know.
        let base = |relative: &'static str| match app.root_path.as_str() {
            "" => relative.to_owned(),
            prefix => format!("{prefix}/"),
        };
        let admin = |relative: &'static str| {
            let page = include_str!("../../assets/admin/admin.html");
            page_file(page.replace("{{base}}", &base(relative)))
        };
        let page = fill(include_str!("../../assets/app.html"), &base(""), app, has_docs);
        let preload = |(path, _)| format!("<{}{path}>; rel=modulepreload", base(""));
        let links = MODULES.map(preload).join(", ");
        let modules = MODULES.iter().map(|(path, text)| (*path, SCRIPT, *text));
        let files = modules.chain(OTHER_FILES).map(|(path, content_type, text)| {
            (path, StaticFile::new(content_type, text.as_bytes().into(), None))
        });
        let pages = [
            ("", page_file(page).with_header(LINK, &links)),
            ("admin", admin("./")),
            ("admin/", admin("../")),
        ];
        Self {
            files: StaticFiles::new(files.chain(pages).collect(), &app.large_work),
            root_path: app.root_path.clone(),
        }
    }
}

fn page_file(html: String) -> StaticFile {
    StaticFile::new(HTML, html.into_bytes().into(), Some(POLICY))
}

/// Writes into the page what it must know of the settings, so that it needs no request to find out.
fn fill(page: &str, base: &str, app: &AppState, has_docs: bool) -> String {
    let switch = |is_on: bool| if is_on { "on" } else { "off" };
    let length = app.policy.passwords.minimum_length.to_string();
    // The settings reject braces, so no value contains a placeholder.
    [
        ("{{base}}", base),
        ("{{anonymous_reads}}", switch(app.policy.anonymous_reads)),
        ("{{changes}}", switch(app.changes.is_on())),
        ("{{deletion_password}}", switch(app.policy.delete_requires_password)),
        ("{{docs}}", switch(has_docs)),
        ("{{mail}}", switch(app.mails.is_some())),
        ("{{password_length}}", &length),
    ]
    .iter()
    .fold(page.to_owned(), |page, (name, value)| page.replace(name, value))
}
