//! The page at `/` follows the stream of changes.

use serde_json::json;

use super::visitor::Visitor;
use crate::browser::chromium::Browser;
use crate::browser::visits::{browse, browse_in_two};
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

/// Opens the page, changes posts while the page is hidden, and waits until it shows all changes.
/// `hinder` runs in the page before.
async fn catch_up(hinder: &'static str) {
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
        visitor.write("Gone", "Hello").await;
        visitor.show("").await;
        browser.wait_for(".rows article + article").await;
        wait_until_live(&browser).await;
        browser.run(hinder).await;
        browser.run(HIDE).await;
        let token = service.log_in(EMAILS[0]);
        let call = |method: &str, path: &str, body| {
            service.connect().call(method, path, &token, Some(&body)).unwrap()
        };
        let post = json!({"title": "Third", "content": "Hello"});
        call("POST", "/posts", post).expect(201);
        call("POST", "/vote", json!({"post_id": 1, "dir": 1})).expect(201);
        service.connect().call("DELETE", "/posts/2", &token, None).unwrap().expect(204);
        browser.run(SHOW).await;
        browser.wait_for_text(".fresh", "1 new post").await;
        browser.wait_for_text(".rows article:only-child .count", "1").await;
        browser.assert_console_is_empty("/").await;
    })
    .await;
}

/// The stream continues where it was cut, so the page reads no list again.
#[tokio::test]
async fn page_that_was_hidden_catches_up_from_the_stream() {
    catch_up(
        "const send = window.fetch;
        window.fetch = (url, request) => String(url).includes('/posts?')
          ? Promise.reject(new TypeError('no list')) : send(url, request)",
    )
    .await;
}

/// The service no longer has the changes, as after an hour without streams.
#[tokio::test]
async fn page_that_was_hidden_too_long_catches_up_from_the_list() {
    catch_up(
        "const send = window.fetch;
        window.fetch = (url, request) => {
          request.headers.delete('last-event-id');
          return send(url, request);
        }",
    )
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
