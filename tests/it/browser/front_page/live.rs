//! The page at `/` follows the stream of changes.

use serde_json::json;

use super::visitor::Visitor;
use crate::browser::chromium::{Browser, browse, browse_in_two};
use crate::support::Service;

const EMAILS: [&str; 2] = ["ada@example.com", "bob@example.com"];

async fn wait_until_live(browser: &Browser) {
    browser.wait_for("body.live").await;
}

/// The page loads each list once by itself: what else it shows comes from the stream.
#[tokio::test]
async fn second_browser_sees_post_and_first_sees_its_vote() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse_in_two(async move |first, second| {
        let ada = Visitor::open(&first, &url).await;
        ada.sign_up(EMAILS[0]).await;
        let bob = Visitor::open(&second, &url).await;
        bob.sign_up(EMAILS[1]).await;
        wait_until_live(&second).await;

        ada.write("First", "Hello").await;
        second.wait_for_text(".fresh", "1 new post").await;
        ada.write("Second", "Hello").await;
        second.wait_for_text(".fresh", "2 new posts").await;
        second.click(".fresh").await;
        second.wait_for_text(".rows", "Second").await;
        second.wait_until_gone(".fresh:not([hidden])").await;
        ada.show("").await;
        first.wait_for_text(".rows", "Second").await;
        wait_until_live(&first).await;

        second.click(".rows article .votes button").await;
        first.wait_for_text(".rows article .count", "1").await;
        ada.show(&ada.fragment_of("Second").await).await;
        first.click("article .votes button").await;
        second.wait_for_text(".rows article .count", "2").await;

        first.click("a[href^='#/edit/']").await;
        first.write("[name=title]", "Renamed").await;
        first.click("button[value=true]").await;
        second.wait_for_text(".rows", "Renamed").await;
        first.click("article .danger").await;
        first.click("dialog .danger").await;
        second.wait_until_gone(".rows article + article").await;
        for browser in [&first, &second] {
            browser.assert_console_is_empty("/").await;
            browser.assert_requests_stay_at(&url, "/posts/changes").await;
        }
    })
    .await;
}

/// The page reads the stream again after it was cut, and misses nothing.
#[tokio::test]
async fn page_catches_up_after_it_was_hidden() {
    const HIDE: &str = "Object.defineProperty(document, 'hidden', {value: true, writable: true});
        document.dispatchEvent(new Event('visibilitychange'))";
    const SHOW: &str = "document.hidden = false;
        document.dispatchEvent(new Event('visibilitychange'))";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up(EMAILS[0]).await;
        visitor.write("First", "Hello").await;
        visitor.show("").await;
        wait_until_live(&browser).await;
        browser.run(HIDE).await;
        let token = service.log_in(EMAILS[0]);
        let call = |method: &str, path: &str, body| {
            service.connect().call(method, path, &token, Some(&body)).unwrap()
        };
        let post = json!({"title": "Second", "content": "Hello"});
        call("POST", "/posts", post).expect(201);
        call("POST", "/vote", json!({"post_id": 1, "dir": 1})).expect(201);
        browser.run(SHOW).await;
        browser.wait_for_text(".fresh", "1 new post").await;
        browser.wait_for_text(".rows article .count", "1").await;
        browser.assert_console_is_empty("/").await;
    })
    .await;
}

#[tokio::test]
async fn page_works_without_streams() {
    let service = Service::start(&[("CHANGES_STREAMS", "0")]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up(EMAILS[0]).await;
        visitor.write("First", "Hello").await;
        visitor.show("").await;
        browser.wait_for_text(".rows", "First").await;
        let requested = browser.requests().await;
        assert!(!requested.iter().any(|path| path.ends_with("/changes")), "{requested:?}");
        browser.assert_console_is_empty("/").await;
    })
    .await;
}
