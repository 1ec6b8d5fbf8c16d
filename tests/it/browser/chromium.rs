//! Headless Chromium, driven by chromedriver: actions of a visitor, console errors and requests.

use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::{LocalSet, spawn_local};

use super::driver::Driver;

/// How long a click may take to have an effect before it is repeated.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long any step may take on a machine that runs other programs.
const TIMEOUT: Duration = Duration::from_mins(2);

/// How often a condition is checked.
const INTERVAL: Duration = Duration::from_millis(50);

/// One browser uses all cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const SWITCHES: [&str; 10] = [
    "--headless",
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

pub(super) struct Browser {
    client: Client,
    /// URL of this browser at the driver.
    session: String,
}

/// Runs the visit in a new browser profile, and closes the browser also if the visit fails.
pub(super) async fn browse<Visit>(visit: impl FnOnce(Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    browse_with(&[], visit).await;
}

/// Like [`browse`], in a browser that finds the host at this address (`127.0.0.1:PORT`).
pub(super) async fn browse_host<Visit>(
    host: &str,
    address: &str,
    visit: impl FnOnce(Browser) -> Visit,
) where
    Visit: Future<Output = ()> + 'static,
{
    let rule = format!("--host-resolver-rules=MAP {host} {address}");
    browse_with(&[&rule, "--disable-features=HttpsUpgrades"], visit).await;
}

async fn browse_with<Visit>(switches: &[&str], visit: impl FnOnce(Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let _turn = ONE_AT_A_TIME.lock().await;
    let driver = Driver::start();
    let profile = TempDir::new().unwrap();
    let browser = Browser::start(&driver, &profile, switches).await;
    let client = browser.client.clone();
    run_and_close(visit(browser), &[client]).await;
}

/// Runs the visit in two browsers that share nothing.
pub(super) async fn browse_in_two<Visit>(visit: impl FnOnce(Browser, Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let _turn = ONE_AT_A_TIME.lock().await;
    let driver = Driver::start();
    let profiles = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let first = Browser::start(&driver, &profiles[0], &[]).await;
    let second = Browser::start(&driver, &profiles[1], &[]).await;
    let clients = [first.client.clone(), second.client.clone()];
    run_and_close(visit(first, second), &clients).await;
}

async fn run_and_close(visit: impl Future<Output = ()> + 'static, clients: &[Client]) {
    let outcome = LocalSet::new().run_until(async { spawn_local(visit).await }).await;
    for client in clients {
        client.clone().close().await.unwrap();
    }
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

async fn connect(driver: &str, profile: &TempDir, others: &[&str]) -> Client {
    let profile = format!("--user-data-dir={}", profile.path().display());
    let switches = [&SWITCHES, others, &[&profile]].concat();
    let capabilities = json!({
        "goog:chromeOptions": {"args": switches},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    });
    ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(serde_json::from_value(capabilities).unwrap())
        .connect(driver)
        .await
        .unwrap_or_else(|error| {
            panic!("chromium does not start ({error}); scripts/test installs what is missing")
        })
}

impl Browser {
    async fn start(driver: &Driver, profile: &TempDir, switches: &[&str]) -> Self {
        let client = connect(&driver.url, profile, switches).await;
        let session = client.session_id().await.unwrap().unwrap();
        let session = format!("{}/session/{session}", driver.url);
        Self { client, session }
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

    /// Replaces the text of the field.
    pub(super) async fn write(&self, selector: &str, text: &str) {
        let select_all = Key::Control + "a";
        let keys = format!("{select_all}{}{text}", char::from(Key::Null));
        self.retry(selector, async || self.find(selector).await?.send_keys(&keys).await).await;
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
