//! Visits to the pages: each has a browser to itself.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::{JoinError, LocalSet, spawn_local};

use super::chromium::Browser;
use super::driver::Driver;

/// Visits at the same time: one computes while the other waits.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The browsers that no visit uses. They run until the end of the tests, since a start takes as long
/// as a short visit.
static IDLE: Mutex<Vec<SharedBrowser>> = Mutex::new(Vec::new());

/// A browser for one visit after the other.
struct SharedBrowser {
    driver: Driver,
    /// Its session at the driver. Each test has its own client, because a client ends with the
    /// runtime of its test.
    session: String,
}

impl SharedBrowser {
    async fn take() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(browser) => browser,
            None => Self::start().await,
        }
    }

    async fn start() -> Self {
        let driver = Driver::start();
        let browser = Browser::start(&driver, &[]).await;
        browser.client.persist().await.unwrap();
        let session = browser.client.session_id().await.unwrap().unwrap();
        Self { driver, session }
    }

    async fn connect(&self) -> Browser {
        let browser = Browser::connect(&self.driver, &self.session).await;
        // Otherwise the browser would close with its last client.
        browser.client.persist().await.unwrap();
        browser
    }

    /// Clears the browser for the next visit.
    async fn give_back(self, browser: &Browser) {
        browser.clear().await;
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

/// Runs the visit in a new tab of a browser without stored data.
pub(super) async fn browse<Visit>(visit: impl FnOnce(Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let _turn = TURNS.acquire().await.unwrap();
    let shared = SharedBrowser::take().await;
    let browser = shared.connect().await;
    // After a failed visit the browser ends.
    run(visit(browser.clone())).await.unwrap_or_else(resume);
    shared.give_back(&browser).await;
}

/// Like [`browse`], in two browsers that share nothing.
pub(super) async fn browse_in_two<Visit>(visit: impl FnOnce(Browser, Browser) -> Visit)
where
    Visit: Future<Output = ()> + 'static,
{
    let _turns = TURNS.acquire_many(2).await.unwrap();
    let (one, other) = (SharedBrowser::take().await, SharedBrowser::take().await);
    let (first, second) = (one.connect().await, other.connect().await);
    run(visit(first.clone(), second.clone())).await.unwrap_or_else(resume);
    one.give_back(&first).await;
    other.give_back(&second).await;
}

/// Like [`browse`], in a new browser that finds the host at this address (`127.0.0.1:PORT`).
pub(super) async fn browse_host<Visit>(
    host: &str,
    address: &str,
    visit: impl FnOnce(Browser) -> Visit,
) where
    Visit: Future<Output = ()> + 'static,
{
    let _turn = TURNS.acquire().await.unwrap();
    let driver = Driver::start();
    let rule = format!("--host-resolver-rules=MAP {host} {address}");
    let browser = Browser::start(&driver, &[&rule, "--disable-features=HttpsUpgrades"]).await;
    let client = browser.client.clone();
    let outcome = run(visit(browser)).await;
    client.close().await.unwrap();
    outcome.unwrap_or_else(resume);
}

async fn run(visit: impl Future<Output = ()> + 'static) -> Result<(), JoinError> {
    LocalSet::new().run_until(async { spawn_local(visit).await }).await
}

fn resume(failure: JoinError) {
    std::panic::resume_unwind(failure.into_panic());
}
