//! The page at `/admin`: who sees it, what it shows, and its names for screen readers.

use std::time::Duration;

use post_api::server::Limits;
use serde_json::json;

use super::chromium::{Browser, browse};
use crate::support::{PASSWORD, TestApp, TestServer};

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

/// A screen reader finds everything by its role and name, and no control without a name.
async fn assert_names(browser: &Browser) {
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({})).await;
    let nodes: Vec<(&str, &str)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] == false)
        .map(|node| (node["role"]["value"].as_str().unwrap(), node["name"]["value"].as_str()))
        .map(|(role, name)| (role, name.unwrap_or_default()))
        .collect();
    for expected in [
        ("banner", ""),
        ("link", "Users"),
        ("main", ""),
        ("heading", "Administration"),
        ("image", "New users a day. in 30 days: highest 31."),
        ("image", "Requests a minute. in all: highest 4."),
        ("image", "Errors. 4xx: highest 1. 5xx: highest 1."),
        ("image", "Rate limits reached. writes: highest 1."),
        ("region", "Users"),
        ("columnheader", "E-mail"),
        ("button", "Show more users"),
        ("button", "Log out"),
    ] {
        assert!(nodes.contains(&expected), "{expected:?} is not in {nodes:#?}");
    }
    let needs_name =
        ["button", "link", "textbox", "heading", "image", "region", "DisclosureTriangle"];
    let unnamed = nodes.iter().filter(|(role, name)| needs_name.contains(role) && name.is_empty());
    assert_eq!(unnamed.count(), 0, "{nodes:#?}");
}

#[tokio::test]
async fn administrator_sees_statistics_accounts_and_events() {
    let app = TestApp::start().await;
    let ada = app.sign_up("ada").await;
    app.set_admin(ada, true).await;
    populate(&app);
    let server = TestServer::start(app.routes(), Limits::default());
    browse(async move |browser| {
        browser.open(&format!("http://{}/admin", server.address)).await;
        log_in(&browser, "ada").await;
        assert_eq!(browser.text(".board h1").await, "Administration");
        assert!(browser.text(".totals").await.replace('\n', " ").starts_with("Users 31 Posts 0"));
        // New users, new posts, requests, response times, errors, rate limits.
        assert_eq!(count(&browser, "figure svg[role=img] path").await, 10);
        assert_names(&browser).await;
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
    let app = TestApp::start().await;
    let ada = app.sign_up("ada").await;
    app.set_admin(ada, true).await;
    populate(&app);
    let server = TestServer::start(app.routes(), Limits::default());
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
