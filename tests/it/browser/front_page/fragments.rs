//! Every fragment of the address has a view.

use serde_json::json;

use super::visitor::Visitor;
use crate::browser::chromium::Browser;
use crate::browser::visits::browse;
use crate::support::{PASSWORD, Service};

const MISSING: &str = "Nothing is here";

/// Fragments that name no view, also none of an object of the language.
const UNKNOWN: [&str; 12] = [
    "#/%",
    "#/%E0%A4%A",
    "#/constructor",
    "#/__proto__",
    "#/toString",
    "#/hasOwnProperty/a",
    "#/nowhere",
    "#/Write",
    "#nowhere",
    "#/%00",
    "#/%20",
    "#/<img src=x>",
];

/// Fragments of a view that does not have what they name. Some of them are refused by the service.
/// The first post belongs to another account.
const GONE: [&str; 15] = [
    "#/edit/1",
    "#/edit/1/2",
    "#/post/NaN",
    "#/post",
    "#/post/",
    "#/post/0",
    "#/post/constructor",
    "#/post/%",
    "#/post/..%2fusers%2fme",
    "#/post/../users/me",
    "#/post/99999999999999999999999",
    "#/edit",
    "#/edit/../users/me",
    "#/top/constructor",
    "#/mine/constructor",
];

async fn go_to(browser: &Browser, fragment: &str) {
    browser.run_with("location.hash = arguments[0]", &[fragment]).await;
}

#[tokio::test]
async fn fragment_without_a_view_is_answered() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        for is_signed_in in [false, true] {
            for fragment in UNKNOWN {
                go_to(&browser, "#/login").await;
                browser.wait_for(if is_signed_in { ".tools" } else { ".card" }).await;
                go_to(&browser, fragment).await;
                browser.wait_for_text("main > .empty", MISSING).await;
                browser.open(&format!("{url}/docs/oauth2-redirect")).await;
                browser.open(&format!("{url}/{fragment}")).await;
                browser.wait_for_text("main > .empty", MISSING).await;
            }
            if !is_signed_in {
                go_to(&browser, "#/join").await;
                visitor.sign_up("ada@example.com").await;
            }
        }
        browser.assert_console_is_empty("/").await;
    })
    .await;
}

#[tokio::test]
async fn fragment_of_something_that_is_not_there_is_answered() {
    let service = Service::start(&[]);
    create_post(&service, "bob@example.com");
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        for fragment in GONE {
            go_to(&browser, "#/account").await;
            browser.wait_for(".account").await;
            go_to(&browser, fragment).await;
            browser.wait_for_text("main .empty", MISSING).await;
        }
        go_to(&browser, "#/post/1").await;
        browser.wait_for_text("main > article", "Open").await;
        for (fragment, heading) in [("#/search/%", "“%”"), ("#/search/", "Posts")] {
            go_to(&browser, fragment).await;
            browser.wait_for_text("h1", heading).await;
        }
        go_to(&browser, "#/mail").await;
        browser.wait_for_text(".rows article", "Open").await;
        // The service has refused some of the requests.
        let is_refusal = |message: &str| message.contains("404") || message.contains("422");
        browser.assert_no_console_error(is_refusal).await;
    })
    .await;
}

/// Signs up an account that has a post.
fn create_post(service: &Service, email: &str) {
    let account = json!({"email": email, "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in(email);
    let post = json!({"title": "Open", "content": "text"});
    service.connect().call("POST", "/posts", &token, Some(&post)).unwrap().expect(201);
}

/// A stranger who may not read gets the login, and then the view.
#[tokio::test]
async fn fragment_is_shown_after_the_login() {
    let service = Service::start(&[]);
    create_post(&service, "ada@example.com");
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/#/post/1")).await;
        let visitor = Visitor::new(&browser);
        visitor.log_in("ada@example.com", PASSWORD).await;
        browser.wait_for_text("main > article", "Open").await;
        browser.assert_console_is_empty("/").await;
    })
    .await;
}
