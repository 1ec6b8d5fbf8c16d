//! Chromium without a window, driven by chromedriver: what a visitor sees and does, what the
//! browser complained about and what it fetched.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::{LocalSet, spawn_local};

/// How long the effect of a click may take before it is clicked again.
const EFFECT: Duration = Duration::from_secs(3);

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// A browser fills the machine.
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
    /// Where the driver keeps this browser's logs.
    logs: String,
}

/// Lends a browser that knows nothing yet and ends it, whether the visit went well or not.
pub(super) async fn browse<Visit>(visit: impl FnOnce(Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let _turn = ONE_AT_A_TIME.lock().await;
    let driver = Driver::start();
    let profile = TempDir::new().unwrap();
    let client = connect(&driver.url, &profile).await;
    let session = client.session_id().await.unwrap().unwrap();
    let logs = format!("{}/session/{session}/se/log", driver.url);
    let visit = visit(Browser { client: client.clone(), logs });
    let outcome = LocalSet::new().run_until(async { spawn_local(visit).await }).await;
    client.close().await.unwrap();
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

async fn connect(driver: &str, profile: &TempDir) -> Client {
    let profile = format!("--user-data-dir={}", profile.path().display());
    let mut switches = SWITCHES.to_vec();
    switches.push(&profile);
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
    pub(super) async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    pub(super) async fn wait_for(&self, selector: &str) -> Element {
        self.persist(selector, async || self.find(selector).await).await
    }

    pub(super) async fn click(&self, selector: &str) {
        self.persist(selector, async || self.find(selector).await?.click().await).await;
    }

    /// Clicks until the effect is seen. A page that is still moving may take a click for another
    /// element, or for none, and says nothing.
    pub(super) async fn click_for(&self, selector: &str, effect: &str) {
        let attempt = async || {
            if self.find(effect).await.is_ok() {
                return Ok(());
            }
            self.find(selector).await?.click().await?;
            let seen = self.client.wait().at_most(EFFECT).every(INTERVAL);
            seen.for_element(Locator::Css(effect)).await.map(|_| ())
        };
        self.persist(selector, attempt).await;
    }

    /// The text once there is one.
    pub(super) async fn text(&self, selector: &str) -> String {
        let read = async || match self.find(selector).await?.text().await? {
            text if text.is_empty() => Err(CmdError::NotJson("no text yet".to_owned())),
            text => Ok(text),
        };
        self.persist(selector, read).await
    }

    /// Writes over what is in the field.
    pub(super) async fn write(&self, selector: &str, text: &str) {
        let select_all = Key::Control + "a";
        let keys = format!("{select_all}{}{text}", char::from(Key::Null));
        self.persist(selector, async || self.find(selector).await?.send_keys(&keys).await).await;
        let written = self.wait_for(selector).await.prop("value").await.unwrap();
        assert_eq!(written.as_deref(), Some(text), "{selector}");
    }

    /// What a script in the page returns.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Fails the test if the browser's console has an error, except those that are expected: a
    /// violated policy is one, and so are a missing file and an exception.
    pub(super) async fn assert_no_complaint(&self, is_expected: impl Fn(&str) -> bool) {
        let mut complaints = self.log("browser").await;
        complaints.retain(|entry| {
            let message = entry["message"].as_str().unwrap();
            entry["level"] == "SEVERE" && !is_expected(message)
        });
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// Fails the test if anything was asked of another server, by whatever means.
    pub(super) async fn assert_requests_stay_at(&self, url: &str) {
        let log = self.log("performance").await;
        let events: Vec<Value> = log
            .iter()
            .map(|entry| serde_json::from_str(entry["message"].as_str().unwrap()).unwrap())
            .map(|event: Value| event["message"].clone())
            .collect();
        let is_blocked = |request: &Value| {
            events.iter().any(|event| {
                event["method"] == "Network.loadingFailed"
                    && event["params"]["requestId"] == *request
                    && event["params"]["blockedReason"] == "csp"
            })
        };
        let mut addresses: Vec<&str> = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .filter(|event| !is_blocked(&event["params"]["requestId"]))
            .map(|event| event["params"]["request"]["url"].as_str().unwrap())
            .collect();
        assert!(addresses.iter().any(|address| *address == format!("{url}/openapi.json")));
        addresses.retain(|address| {
            // The last two are of the page that the browser itself begins with.
            let is_inside = ["data:", "blob:", "chrome:", "chrome-untrusted:"]
                .iter()
                .any(|scheme| address.starts_with(scheme));
            !is_inside && !address.starts_with(&format!("{url}/"))
        });
        assert!(addresses.is_empty(), "{addresses:#?}");
    }

    /// What came in since it was last asked for.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let request = reqwest::Client::new().post(&self.logs).json(&json!({"type": kind}));
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        serde_json::from_value(answer["value"].take()).unwrap()
    }

    async fn find(&self, selector: &str) -> Result<Element, CmdError> {
        self.client.find(Locator::Css(selector)).await
    }

    /// Repeats what fails because the page is still being drawn.
    async fn persist<T>(
        &self,
        selector: &str,
        attempt: impl AsyncFn() -> Result<T, CmdError>,
    ) -> T {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            match attempt().await {
                Ok(outcome) => return outcome,
                Err(error) if start.elapsed() > PATIENCE => {
                    panic!("{selector}: {error}; the console says {:#?}", self.log("browser").await)
                }
                Err(_) => {}
            }
        }
    }
}

/// The chromedriver process.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver does not start ({error}); scripts/test installs it")
            });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let length = output.read_line(&mut said).unwrap();
            assert!(length > 0, "chromedriver ended: {said}");
            let line = said.lines().last().unwrap();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // It goes on talking, and stops when nobody listens.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
