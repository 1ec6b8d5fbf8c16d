//! Actions of a visitor on the Swagger UI page.

use serde_json::Value;

use super::chromium::Browser;

pub(super) struct Page<'a> {
    browser: &'a Browser,
    url: String,
}

/// The response as the page shows it.
pub(super) struct ShownResponse {
    status: String,
    body: String,
}

impl<'a> Page<'a> {
    pub(super) async fn open(browser: &'a Browser, url: &str) -> Self {
        browser.open(url).await;
        browser.wait_for(".opblock").await;
        Self { browser, url: url.to_owned() }
    }

    /// Reloads the page without the fragment that the page has added. With the fragment the last
    /// operation would unfold by itself, and the next click would fold it.
    pub(super) async fn reload(&self) {
        self.browser.open(&self.url).await;
        self.browser.wait_for(".opblock").await;
    }

    pub(super) async fn title(&self) -> String {
        self.browser.text(".info .title").await
    }

    /// Returns the URL of the document that the page shows.
    pub(super) async fn document(&self) -> String {
        self.browser.text(".info a.link").await
    }

    /// Logs in with the dialog "Authorize".
    pub(super) async fn log_in(&self, name: &str, password: &str) {
        let dialog = ".auth-wrapper .btn.authorize.unlocked";
        self.browser.click_for(dialog, "#oauth_username").await;
        self.browser.write("#oauth_username", name).await;
        self.browser.write("#oauth_password", password).await;
        self.browser.click(".auth-btn-wrapper .authorize").await;
        self.browser.click(".close-modal").await;
        self.browser.wait_for(".auth-wrapper .btn.authorize.locked").await;
    }

    /// Logs out with the dialog "Authorize".
    pub(super) async fn log_out(&self) {
        let dialog = ".auth-wrapper .btn.authorize.locked";
        let log_out = ".auth-btn-wrapper [aria-label='Remove authorization']";
        self.browser.click_for(dialog, log_out).await;
        self.browser.click_for(log_out, "#oauth_username").await;
        self.browser.click(".close-modal").await;
        self.browser.wait_for(".auth-wrapper .btn.authorize.unlocked").await;
    }

    /// Returns everything that the browser stores for the page.
    pub(super) async fn stored_data(&self) -> String {
        const SCRIPT: &str =
            "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])";
        self.browser.run(SCRIPT).await.as_str().unwrap().to_owned()
    }

    /// Unfolds the operation, executes it, and returns the response.
    pub(super) async fn execute(
        &self,
        method: &str,
        path: &str,
        parameter: Option<(&str, &str)>,
        body: Option<&Value>,
    ) -> ShownResponse {
        let operation = self.operation(method, path).await;
        let within = |part: &str| format!("[id='{operation}'] {part}");
        let (try_out, execute) = (within(".try-out__btn"), within(".btn.execute"));
        self.browser.click_for(&within(".opblock-summary-control"), &try_out).await;
        self.browser.click_for(&try_out, &execute).await;
        if let Some((name, value)) = parameter {
            let input = format!("[data-param-name='{name}'] input");
            self.browser.write(&within(&input), value).await;
        }
        if let Some(body) = body {
            let body = body.to_string();
            self.browser.write(&within("textarea.body-param__text"), &body).await;
        }
        self.browser.click(&execute).await;
        let response = within(".live-responses-table tr.response");
        let status = self.browser.text(&format!("{response} .response-col_status")).await;
        let body = self.browser.text(&format!("{response} .response-col_description code")).await;
        ShownResponse { status, body }
    }

    /// Returns the ID of the element that shows this method and path.
    async fn operation(&self, method: &str, path: &str) -> String {
        let box_of_path = format!(".opblock-{}:has([data-path='{path}'])", method.to_lowercase());
        self.browser.wait_for(&box_of_path).await.attr("id").await.unwrap().unwrap()
    }
}

impl ShownResponse {
    /// Returns the body, and fails if the status differs.
    #[track_caller]
    pub(super) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.trim(), status.to_string(), "{}", self.body);
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("the page shows no JSON ({error}): {}", self.body))
    }
}
