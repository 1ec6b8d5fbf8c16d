//! The page at `/admin`: who sees it, what it shows, and its names for screen readers.

use std::time::Duration;

use axum::Router;
use post_api::server::{Limits, with_middleware};
use serde_json::json;

use super::checks::{check_names, check_shifts, check_view, observe_shifts};
use super::chromium::Browser;
use super::visits::browse;
use crate::support::{PASSWORD, TestApp, TestServer, middleware_config};

/// Text that is no markup on the page.
const MARKUP: &str = "<img src=x onerror=alert(1)>";

async fn log_in(browser: &Browser, name: &str) {
    browser.write("[name=email]", &format!("{name}@example.com")).await;
    browser.write("[name=password]", PASSWORD).await;
    browser.click("main form button").await;
}

async fn count(browser: &Browser, selector: &str) -> u64 {
    let script = format!("return document.querySelectorAll({}).length", json!(selector));
    browser.run(&script).await.as_u64().unwrap()
}

/// Creates 30 accounts, and minutes with requests.
fn populate(app: &TestApp) {
    app.execute(&format!(
        "WITH RECURSIVE numbers (n) AS
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 30)
         INSERT INTO users (email, password, created_at, name)
         SELECT 'user' || n || '@example.com', 'hash', 1738310400000000, '{MARKUP}' FROM numbers"
    ));
    app.traffic.end_minutes(app.now());
    for minute in 1..=3 {
        for status in [200, 200, 404, 500] {
            app.traffic.record(status, Duration::from_millis(minute));
        }
        app.traffic.count_rate_limited("writes");
        app.clock.advance(60);
        app.traffic.end_minutes(app.now());
    }
}

/// Starts the service with the administrator Ada and the rows of [`populate`]. Returns her ID too.
async fn start_populated() -> (TestApp, i64, TestServer) {
    let app = TestApp::start().await;
    let ada = app.sign_up("ada").await;
    app.set_admin(ada, true).await;
    populate(&app);
    let server = TestServer::start(app.routes(), Limits::default());
    (app, ada, server)
}

/// Roles and names that a screen reader tells of the statistics and lists of [`populate`].
const BOARD: [(&str, &str); 12] = [
    ("banner", ""),
    ("link", "Users"),
    ("main", ""),
    ("heading", "Administration"),
    ("image", "New users a day. in 30 days: highest 3"),
    ("image", "Requests a minute. in all: highest 4."),
    ("image", "Errors. 4xx: highest 1. 5xx: highest 1."),
    ("image", "Rate limits reached. writes: highest 1."),
    ("region", "Users"),
    ("columnheader", "E-mail"),
    ("button", "Show more users"),
    ("button", "Log out"),
];

#[tokio::test]
async fn administrator_sees_statistics_accounts_and_events() {
    let (app, ada, server) = start_populated().await;
    browse(async move |browser| {
        browser.open(&format!("http://{}/admin", server.address)).await;
        log_in(&browser, "ada").await;
        assert_eq!(browser.text(".board h1").await, "Administration");
        assert!(browser.text(".totals").await.replace('\n', " ").starts_with("Users 31 Posts 0"));
        // New users, new posts, requests, response times, errors, rate limits.
        assert_eq!(count(&browser, "figure svg[role=img] path").await, 10);
        browser.click("figure summary").await;
        assert_eq!(browser.text("figure tbody tr").await, "Jan 31 31");

        assert_eq!(count(&browser, "#users tbody tr").await, 20);
        browser.click_for("#users .more", "#users tbody tr:nth-child(31)").await;
        assert_eq!(browser.run("return document.querySelector('#users .more').hidden").await, true);
        let focused = "return document.activeElement.rowIndex";
        assert_eq!(browser.run(focused).await, 21, "the focus is at the first new row");
        assert!(browser.text("#users").await.contains(MARKUP), "markup is text");
        assert_eq!(browser.text("#users i").await, "Administrator");
        assert!(browser.text("#events tbody").await.contains("signed up"));
        browser.assert_console_is_empty("/admin").await;

        app.set_admin(ada, false).await;
        app.clock.advance(1);
        browser.run("location.reload()").await;
        assert!(browser.text("h1").await.contains("Not for this account"));
        assert_eq!(browser.text("code").await, "post-api user grant-admin ada@example.com");
        browser.assert_no_console_error(|message| message.contains("403")).await;
        drop(server);
    })
    .await;
}

#[tokio::test]
async fn right_that_ends_while_the_page_is_open_closes_it() {
    let (app, ada, server) = start_populated().await;
    browse(async move |browser| {
        browser.open(&format!("http://{}/admin", server.address)).await;
        log_in(&browser, "ada").await;
        browser.wait_for("#users .more:not([hidden])").await;
        app.set_admin(ada, false).await;
        browser.click_for("#users .more", ".narrow code").await;
        assert_eq!(count(&browser, ".board").await, 0);
        browser.click_for(".other", "main form").await;
        browser.assert_no_console_error(|message| message.contains("403")).await;
        drop(server);
    })
    .await;
}

/// Every view and state, at every width in light and dark.
#[tokio::test]
async fn views_fit_have_contrast_and_names() {
    let app = TestApp::start().await;
    let ada = app.sign_up("ada").await;
    app.set_admin(ada, true).await;
    app.sign_up("eve").await;
    let server = TestServer::start(app.routes(), Limits::default());
    browse(async move |browser| {
        let check = async |view: &str, expected: &[(&str, &str)]| {
            check_view(&browser, view).await;
            check_names(&browser, view, expected).await;
        };
        browser.open(&format!("http://{}/admin", server.address)).await;
        browser.wait_for("main form").await;
        check("login", &[("textbox", "E-mail"), ("button", "Log in")]).await;
        browser.write("[name=email]", "eve@example.com").await;
        browser.write("[name=password]", "wrong").await;
        browser.click("main form button").await;
        browser.wait_for_text(".fault", "The e-mail or the password is wrong").await;
        check("fault", &[("alert", "")]).await;
        log_in(&browser, "eve").await;
        browser.wait_for("code").await;
        check("denied", &[("heading", "Not for this account"), ("link", "To the posts")]).await;
        browser.click_for(".other", "main form").await;
        log_in(&browser, "ada").await;
        browser.wait_for(".board").await;
        check("young", &[("heading", "This process"), ("region", "Events")]).await;
        populate(&app);
        browser.reload().await;
        browser.wait_for("#users .more:not([hidden])").await;
        check("board", &BOARD).await;
        browser.run("document.querySelectorAll('details').forEach((it) => (it.open = true))").await;
        check("tables", &[("region", "Table: Errors"), ("columnheader", "5xx")]).await;
        let offline = json!({"offline": true, "latency": 0, "downloadThroughput": -1,
            "uploadThroughput": -1});
        browser.devtools("Network.enable", &json!({})).await;
        browser.devtools("Network.emulateNetworkConditions", &offline).await;
        browser.run("dispatchEvent(new Event('session'))").await;
        browser.wait_for(".failure").await;
        check("failure", &[("alert", ""), ("button", "Try again")]).await;
        drop(server);
    })
    .await;
}

#[tokio::test]
async fn first_view_does_not_shift() {
    let (_app, _, server) = start_populated().await;
    browse(async move |browser| {
        observe_shifts(&browser).await;
        let page = format!("http://{}/admin", server.address);
        browser.open(&page).await;
        log_in(&browser, "ada").await;
        browser.wait_for(".board").await;
        browser.reload().await;
        browser.wait_for("#users .more:not([hidden])").await;
        check_shifts(&browser).await;
        drop(server);
    })
    .await;
}

/// A proxy removes a prefix that the service does not know.
#[tokio::test]
async fn pages_work_below_a_prefix_that_only_the_proxy_knows() {
    let app = TestApp::start().await;
    let ada = app.sign_up("ada").await;
    app.set_admin(ada, true).await;
    let proxy = Router::new().nest_service("/blog/v2", app.routes());
    let server = TestServer::start(with_middleware(proxy, middleware_config()), Limits::default());
    browse(async move |browser| {
        let url = format!("http://{}/blog/v2", server.address);
        for path in ["/admin", "/admin/"] {
            browser.open(&format!("{url}{path}")).await;
            log_in(&browser, "ada").await;
            assert_eq!(browser.text(".board h1").await, "Administration");
            browser.click_for(".leave", "main form").await;
            assert_eq!(
                browser.run("return document.querySelector('.brand').href").await,
                url.clone() + "/"
            );
        }
        browser.click(".brand").await;
        browser.wait_for_text(".card h2", "Sign up").await;
        browser.assert_console_is_empty("/admin").await;
        browser.assert_requests_stay_at(&url, "/admin/statistics").await;
        drop(server);
    })
    .await;
}
