//! Headless Chromium, driven by chromedriver: actions of a visitor, console errors and requests.

use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::driver::Driver;

/// How long a click may take to have an effect before it is repeated.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long any step may take on a machine that runs other programs.
const TIMEOUT: Duration = Duration::from_mins(2);

/// How often a condition is checked.
const INTERVAL: Duration = Duration::from_millis(50);

const SWITCHES: [&str; 11] = [
    "--headless",
    // The browser ends when its driver ends.
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,1600",
];

#[derive(Clone)]
pub(super) struct Browser {
    pub(super) client: Client,
    /// URL of this browser at the driver.
    session: String,
}

impl Browser {
    pub(super) async fn start(driver: &Driver, switches: &[&str]) -> Self {
        let profile = tempfile::Builder::new().tempdir_in(&driver.folder).unwrap().keep();
        let profile = format!("--user-data-dir={}", profile.display());
        let switches = [&SWITCHES, switches, &[&profile]].concat();
        let capabilities = json!({
            "goog:chromeOptions": {"args": switches},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(serde_json::from_value(capabilities).unwrap())
            .connect(&driver.url)
            .await
            .unwrap_or_else(|error| {
                panic!("chromium does not start ({error}); scripts/test installs what is missing")
            });
        let session = client.session_id().await.unwrap().unwrap();
        Self { client, session: format!("{}/session/{session}", driver.url) }
    }

    pub(super) async fn connect(driver: &Driver, session: &str) -> Self {
        let connector = HttpConnector::new();
        let client = Client::with_existing_session(&driver.url, session, connector).await.unwrap();
        Self { client, session: format!("{}/session/{session}", driver.url) }
    }

    /// Replaces all tabs by a new one, and removes what the pages have stored and logged. Emulated
    /// networks, media and sizes end with their tab.
    pub(super) async fn clear(&self) {
        let origin = self.run("return location.origin").await;
        let tabs = self.client.windows().await.unwrap();
        let tab = self.client.new_window(true).await.unwrap().handle;
        for tab in tabs {
            self.client.switch_to_window(tab).await.unwrap();
            self.client.close_window().await.unwrap();
        }
        self.client.switch_to_window(tab).await.unwrap();
        let stored = json!({"origin": origin, "storageTypes": "all"});
        self.devtools("Storage.clearDataForOrigin", &stored).await;
        self.devtools("Network.clearBrowserCache", &json!({})).await;
        self.devtools("Network.clearBrowserCookies", &json!({})).await;
        for kind in ["browser", "performance"] {
            self.log(kind).await;
        }
    }

    pub(super) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(super) async fn wait_for(&self, selector: &str) -> Element {
        self.retry(selector, async || self.find(selector).await).await
    }

    pub(super) async fn click(&self, selector: &str) {
        self.retry(selector, async || self.find(selector).await?.click().await).await;
    }

    /// Clicks until the effect is visible. A page that is still moving may send the click to
    /// another element or to none, without an error.
    pub(super) async fn click_for(&self, selector: &str, effect: &str) {
        let attempt = async || {
            if self.find(effect).await.is_ok() {
                return Ok(());
            }
            self.find(selector).await?.click().await?;
            let seen = self.client.wait().at_most(EFFECT_TIMEOUT).every(INTERVAL);
            seen.for_element(Locator::Css(effect)).await.map(|_| ())
        };
        self.retry(selector, attempt).await;
    }

    /// Waits until no element matches.
    pub(super) async fn wait_until_gone(&self, selector: &str) {
        let absent = async || match self.find(selector).await {
            Err(error) if error.is_no_such_element() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(CmdError::NotJson("still there".to_owned())),
        };
        self.retry(selector, absent).await;
    }

    /// Waits until the text of the element contains this one.
    pub(super) async fn wait_for_text(&self, selector: &str, expected: &str) {
        let read = async || {
            let text = self.find(selector).await?.text().await?;
            if text.contains(expected) {
                return Ok(());
            }
            Err(CmdError::NotJson(format!("{text:?} without {expected:?}")))
        };
        self.retry(selector, read).await;
    }

    /// Presses keys where the focus is.
    pub(super) async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub(super) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Opens another tab, and continues there.
    pub(super) async fn open_tab(&self, url: &str) {
        let tab = self.client.new_window(true).await.unwrap().handle;
        self.client.switch_to_window(tab).await.unwrap();
        self.open(url).await;
    }

    /// Runs a command of the Chrome `DevTools` Protocol.
    pub(super) async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let url = format!("{}/goog/cdp/execute", self.session);
        self.post(&url, &json!({"cmd": command, "params": parameters})).await
    }

    /// Returns the text once it is not empty.
    pub(super) async fn text(&self, selector: &str) -> String {
        let read = async || match self.find(selector).await?.text().await? {
            text if text.is_empty() => Err(CmdError::NotJson("no text yet".to_owned())),
            text => Ok(text),
        };
        self.retry(selector, read).await
    }

    /// Replaces the text of the field at once, as a paste does: a page may render after each key.
    pub(super) async fn write(&self, selector: &str, text: &str) {
        let select_all = format!("{}a{}", char::from(Key::Control), char::from(Key::Null));
        self.retry(selector, async || self.find(selector).await?.send_keys(&select_all).await)
            .await;
        self.devtools("Input.insertText", &json!({"text": text})).await;
        let written = self.wait_for(selector).await.prop("value").await.unwrap();
        assert_eq!(written.as_deref(), Some(text), "{selector}");
    }

    /// Runs the script in the page, and returns its result.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.run_with(script, &[]).await
    }

    /// Like [`Self::run`], with values for `arguments`.
    pub(super) async fn run_with(&self, script: &str, arguments: &[&str]) -> Value {
        let arguments = arguments.iter().map(|text| json!(text)).collect();
        self.client.execute(script, arguments).await.unwrap()
    }

    /// Runs the script until its result is not null, and returns the result.
    pub(super) async fn wait_for_result(&self, script: &str) -> Value {
        let attempt = async || match self.client.execute(script, Vec::new()).await? {
            Value::Null => Err(CmdError::NotJson("no result yet".to_owned())),
            result => Ok(result),
        };
        self.retry(script, attempt).await
    }

    /// Fails if the console has an error that is not expected. Policy violations, missing files and
    /// exceptions are errors.
    pub(super) async fn assert_no_console_error(&self, is_expected: impl Fn(&str) -> bool) {
        let mut errors = self.log("browser").await;
        errors.retain(|entry| {
            let message = entry["message"].as_str().unwrap();
            entry["level"] == "SEVERE" && !is_expected(message)
        });
        assert!(errors.is_empty(), "{errors:#?}");
    }

    /// Fails if the console has any message, of any level.
    pub(super) async fn assert_console_is_empty(&self, page: &str) {
        let messages = self.log("browser").await;
        assert!(messages.is_empty(), "{page}: {messages:#?}");
    }

    /// Fails if the browser sent any request to another server, or no request for this path.
    pub(super) async fn assert_requests_stay_at(&self, url: &str, path: &str) {
        let events = self.network_events().await;
        let is_blocked = |request: &Value| {
            events.iter().any(|event| {
                event["method"] == "Network.loadingFailed"
                    && event["params"]["requestId"] == *request
                    && event["params"]["blockedReason"] == "csp"
            })
        };
        let mut urls: Vec<&str> = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .filter(|event| !is_blocked(&event["params"]["requestId"]))
            .map(|event| event["params"]["request"]["url"].as_str().unwrap())
            .collect();
        assert!(urls.iter().any(|requested| *requested == format!("{url}{path}")));
        urls.retain(|requested| {
            // The last two belong to the start page of the browser.
            let is_inside = ["data:", "blob:", "chrome:", "chrome-untrusted:"]
                .iter()
                .any(|scheme| requested.starts_with(scheme));
            !is_inside && !requested.starts_with(&format!("{url}/"))
        });
        assert!(urls.is_empty(), "{urls:#?}");
    }

    /// Returns the URLs that the browser requested since the last call.
    pub(super) async fn requests(&self) -> Vec<String> {
        let events = self.network_events().await;
        let is_request = |event: &&Value| event["method"] == "Network.requestWillBeSent";
        let url = |event: &Value| event["params"]["request"]["url"].as_str().unwrap().to_owned();
        events.iter().filter(is_request).map(url).collect()
    }

    /// Returns the statuses that the server sent for this URL since the last call, in order. A page
    /// sees 200 instead of 304.
    pub(super) async fn statuses(&self, url: &str) -> Vec<u64> {
        let events = self.network_events().await;
        let is = |event: &&Value, method: &str| event["method"] == method;
        let requests: Vec<&Value> = events
            .iter()
            .filter(|event| is(event, "Network.requestWillBeSent"))
            .filter(|event| event["params"]["request"]["url"] == url)
            .map(|event| &event["params"]["requestId"])
            .collect();
        events
            .iter()
            .filter(|event| is(event, "Network.responseReceivedExtraInfo"))
            .filter(|event| requests.contains(&&event["params"]["requestId"]))
            .map(|event| event["params"]["statusCode"].as_u64().unwrap())
            .collect()
    }

    /// Returns what the browser did in the network since the last call.
    async fn network_events(&self) -> Vec<Value> {
        let log = self.log("performance").await;
        let messages = log.iter().map(|entry| entry["message"].as_str().unwrap());
        messages
            .map(|message| serde_json::from_str(message).unwrap())
            .map(|mut event: Value| event["message"].take())
            .collect()
    }

    /// Returns the entries since the last call.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let url = format!("{}/se/log", self.session);
        serde_json::from_value(self.post(&url, &json!({"type": kind})).await).unwrap()
    }

    async fn post(&self, url: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().post(url).json(body);
        let mut response: Value = request.send().await.unwrap().json().await.unwrap();
        response["value"].take()
    }

    async fn find(&self, selector: &str) -> Result<Element, CmdError> {
        self.client.find(Locator::Css(selector)).await
    }

    /// Retries the attempt while it fails, because the page may still be rendering.
    async fn retry<T>(&self, selector: &str, attempt: impl AsyncFn() -> Result<T, CmdError>) -> T {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            match attempt().await {
                Ok(outcome) => return outcome,
                Err(error) if start.elapsed() > TIMEOUT => {
                    panic!("{selector}: {error}; the console says {:#?}", self.log("browser").await)
                }
                Err(_) => {}
            }
        }
    }
}
