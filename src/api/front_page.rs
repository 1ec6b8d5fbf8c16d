//! The pages at `/` and `/admin`, clients of the API, embedded in the binary. Their
//! Content-Security-Policy lets the browser load nothing from other hosts, and turn no text into
//! markup or code.
//!
//! Not here: the handlers, see `routes/front_page.rs`.

use axum::http::header::LINK;

use super::large_work::LargeWork;
use super::state::AppState;
use super::static_file::{HTML, SCRIPT, STYLE, StaticFile};

/// With `trusted-types 'none'` no script can create markup from text (W3C Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The modules of the script. A header makes browsers load them together with the script.
const MODULES: [(&str, &str); 6] = [
    ("account.js", include_str!("../../assets/app/account.js")),
    ("client.js", include_str!("../../assets/app/client.js")),
    ("dom.js", include_str!("../../assets/app/dom.js")),
    ("live.js", include_str!("../../assets/app/live.js")),
    ("posts.js", include_str!("../../assets/app/posts.js")),
    ("write.js", include_str!("../../assets/app/write.js")),
];

/// The files of the page at `/admin`, besides those that it shares with the page at `/`.
const ADMIN_FILES: [(&str, &str, &str); 3] = [
    ("admin.css", STYLE, include_str!("../../assets/admin/admin.css")),
    ("admin.js", SCRIPT, include_str!("../../assets/admin/admin.js")),
    ("plots.js", SCRIPT, include_str!("../../assets/admin/plots.js")),
];

/// The pages and their files, with their headers.
pub(super) struct FrontPage {
    pub(super) page: StaticFile,
    pub(super) admin: StaticFile,
    pub(super) style: StaticFile,
    pub(super) script: StaticFile,
    others: Vec<(&'static str, StaticFile)>,
    pub(super) root_path: String,
    pub(super) large_work: LargeWork,
}

impl FrontPage {
    pub(super) fn new(app: &AppState, has_docs: bool) -> Self {
        // Relative without a prefix, so that a proxy can also publish the page below a path that the
        // service does not know.
        let base = match app.root_path.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let html = fill(include_str!("../../assets/app.html"), &base, app, has_docs);
        let preload = |(name, _): &(&str, &str)| format!("<{base}app/{name}>; rel=modulepreload");
        let links: Vec<String> = MODULES.iter().map(preload).collect();
        let style = include_str!("../../assets/app.css").as_bytes();
        let script = include_str!("../../assets/app.js").as_bytes();
        // Absolute, because the page also answers with a slash at the end of its path.
        let admin = include_str!("../../assets/admin/admin.html");
        let admin = admin.replace("{{base}}", &format!("{}/", app.root_path));
        let modules = MODULES.iter().map(|(name, text)| (*name, SCRIPT, *text));
        let others = modules.chain(ADMIN_FILES).map(|(name, content_type, text)| {
            (name, StaticFile::new(content_type, text.as_bytes().into(), None))
        });
        Self {
            page: StaticFile::new(HTML, html.into_bytes().into(), Some(POLICY))
                .with_header(LINK, &links.join(", ")),
            admin: StaticFile::new(HTML, admin.into_bytes().into(), Some(POLICY)),
            style: StaticFile::new(STYLE, style.into(), None),
            script: StaticFile::new(SCRIPT, script.into(), None),
            others: others.collect(),
            root_path: app.root_path.clone(),
            large_work: app.large_work.clone(),
        }
    }

    /// Returns a file of the folder `app` by its name.
    pub(super) fn file(&self, name: &str) -> Option<&StaticFile> {
        self.others.iter().find(|(other, _)| *other == name).map(|(_, file)| file)
    }
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
