//! Visits to the pages: each has a browser to itself.

use tokio::sync::Mutex;
use tokio::task::{JoinError, LocalSet, spawn_local};

use super::chromium::Browser;
use super::driver::Driver;

/// The browsers that visits share. One browser uses all cores, so visits take turns.
static SHARED: Mutex<Option<SharedBrowsers>> = Mutex::const_new(None);

/// Browsers that run until the end of the tests, since a start takes as long as a short visit.
struct SharedBrowsers {
    driver: Driver,
    /// Their sessions at the driver. Each test has its own clients, because a client ends with the
    /// runtime of its test.
    sessions: Vec<String>,
}

/// Runs the visit in a new tab of a browser without stored data.
pub(super) async fn browse<Visit>(visit: impl FnOnce(Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let mut shared = SHARED.lock().await;
    let [browser] = take_browsers(&mut shared).await;
    let browsers = [browser.clone()];
    run_and_keep(&mut shared, visit(browser), &browsers).await;
}

/// Like [`browse`], in two browsers that share nothing.
pub(super) async fn browse_in_two<Visit>(visit: impl FnOnce(Browser, Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let mut shared = SHARED.lock().await;
    let [first, second] = take_browsers(&mut shared).await;
    let browsers = [first.clone(), second.clone()];
    run_and_keep(&mut shared, visit(first, second), &browsers).await;
}

/// Like [`browse`], in a new browser that finds the host at this address (`127.0.0.1:PORT`).
pub(super) async fn browse_host<Visit>(
    host: &str,
    address: &str,
    visit: impl FnOnce(Browser) -> Visit,
) where
    Visit: Future<Output = ()> + 'static,
{
    let _turn = SHARED.lock().await;
    let driver = Driver::start();
    let rule = format!("--host-resolver-rules=MAP {host} {address}");
    let browser = Browser::start(&driver, &[&rule, "--disable-features=HttpsUpgrades"]).await;
    let client = browser.client.clone();
    let outcome = run(visit(browser)).await;
    client.close().await.unwrap();
    outcome.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()));
}

/// Returns clients of the shared browsers, and starts those that are missing.
async fn take_browsers<const COUNT: usize>(
    shared: &mut Option<SharedBrowsers>,
) -> [Browser; COUNT] {
    let SharedBrowsers { driver, sessions } = shared
        .get_or_insert_with(|| SharedBrowsers { driver: Driver::start(), sessions: Vec::new() });
    let mut browsers = Vec::new();
    for number in 0..COUNT {
        let browser = match sessions.get(number) {
            Some(session) => Browser::connect(driver, session).await,
            None => Browser::start(driver, &[]).await,
        };
        // Otherwise the browser would close with its last client.
        browser.client.persist().await.unwrap();
        if number == sessions.len() {
            sessions.push(browser.client.session_id().await.unwrap().unwrap());
        }
        browsers.push(browser);
    }
    browsers.try_into().unwrap_or_else(|_| unreachable!("as many as were taken"))
}

/// Runs the visit and clears the browsers. If the visit fails, the next one gets new browsers.
async fn run_and_keep(
    shared: &mut Option<SharedBrowsers>,
    visit: impl Future<Output = ()> + 'static,
    browsers: &[Browser],
) {
    if let Err(failure) = run(visit).await {
        *shared = None;
        std::panic::resume_unwind(failure.into_panic());
    }
    for browser in browsers {
        browser.clear().await;
    }
}

async fn run(visit: impl Future<Output = ()> + 'static) -> Result<(), JoinError> {
    LocalSet::new().run_until(async { spawn_local(visit).await }).await
}
