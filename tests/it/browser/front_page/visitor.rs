//! Actions of a visitor on the page at `/`.

use crate::browser::chromium::Browser;
use crate::support::PASSWORD;

pub(super) struct Visitor<'a> {
    browser: &'a Browser,
}

impl<'a> Visitor<'a> {
    /// Returns the visitor of the page that the browser shows.
    pub(super) fn new(browser: &'a Browser) -> Self {
        Self { browser }
    }

    pub(super) async fn open(browser: &'a Browser, url: &str) -> Self {
        browser.open(&format!("{url}/")).await;
        Self::new(browser)
    }

    pub(super) async fn sign_up(&self, email: &str) {
        self.browser.write("[name=email]", email).await;
        self.browser.write("[name=password]", PASSWORD).await;
        self.browser.click(".card button").await;
        self.browser.wait_for(".tools").await;
    }

    /// Fills in and sends the form of the login, which is shown.
    pub(super) async fn log_in(&self, email: &str, password: &str) {
        self.browser.write("[name=username]", email).await;
        self.browser.write("[name=password]", password).await;
        self.browser.click(".card button").await;
    }

    /// Ends the session of this browser.
    pub(super) async fn log_out(&self) {
        self.show("account").await;
        self.browser.click(".this").await;
        self.browser.wait_for(".guest a").await;
    }

    /// Shows the view with this name in the fragment.
    pub(super) async fn show(&self, view: &str) {
        self.browser.run(&format!("location.hash = '#/{view}'")).await;
    }

    pub(super) async fn fill_editor(&self, title: &str, content: &str) {
        self.show("write").await;
        self.browser.write("[name=title]", title).await;
        self.browser.write("[name=content]", content).await;
    }

    /// Publishes a post, and waits until the page shows it.
    pub(super) async fn write(&self, title: &str, content: &str) {
        self.fill_editor(title, content).await;
        self.browser.click("button[value=true]").await;
        self.browser.wait_for("main > article").await;
    }

    /// Returns the view of the post with this title, which is in the list that is shown.
    pub(super) async fn fragment_of(&self, title: &str) -> String {
        let script = format!(
            "return [...document.querySelectorAll('.rows .title')]
               .find((link) => link.textContent === '{title}').hash.slice(2)"
        );
        self.browser.run(&script).await.as_str().unwrap().to_owned()
    }

    /// Returns the path in the API of the post that is shown or edited.
    pub(super) async fn path_of_post(&self) -> String {
        let id = self.browser.run("return location.hash.split('/')[2]").await;
        format!("/posts/{}", id.as_str().unwrap())
    }
}
