//! The page for people who use a keyboard, a screen reader, a small window or a dark screen.

use serde_json::json;

use super::visitor::Visitor;
use crate::browser::checks::{check_names, check_shifts, check_view, observe_shifts};
use crate::browser::chromium::Browser;
use crate::browser::visits::browse;
use crate::support::{MAIL_SETTINGS, PASSWORD, Service};

/// Views of an account, with nodes that a screen reader tells. The account has written post 1, with
/// a long title, and post 2.
const OWN_VIEWS: [(&str, &[(&str, &str)]); 12] = [
    (
        "",
        &[
            ("heading", "Posts"),
            ("navigation", "Main"),
            ("navigation", "Order"),
            ("searchbox", "Search titles"),
            ("article", ""),
            ("group", "Votes"),
            ("button", "Vote up: Wide"),
            ("link", "Wide"),
            ("link", "API documentation"),
        ],
    ),
    ("hot", &[("heading", "Posts")]),
    ("top/week", &[("combobox", "Time")]),
    ("search/nothing", &[("heading", "No title has this text"), ("link", "Show all posts")]),
    ("write", &[("textbox", "Title"), ("textbox", "Text"), ("button", "Publish")]),
    ("edit/1", &[("heading", "Edit"), ("button", "Save as draft")]),
    ("post/1", &[("heading", "Wide"), ("link", "Edit"), ("button", "Delete")]),
    ("post/9", &[("heading", "Nothing is here"), ("link", "Show all posts")]),
    ("mine", &[("navigation", "Mine"), ("article", "")]),
    ("mine/drafts", &[("heading", "No drafts"), ("link", "Write a post")]),
    ("account", &[("heading", "Account"), ("button", "Log out everywhere")]),
    ("nowhere", &[("heading", "Nothing is here"), ("link", "Show all posts")]),
];

/// Views of a stranger.
const GUEST_VIEWS: [(&str, &[(&str, &str)]); 6] = [
    (
        "#/join",
        &[
            ("heading", "Sign up"),
            ("textbox", "E-mail"),
            ("textbox", "Password"),
            ("checkbox", "Stay signed in"),
            ("button", "Sign up"),
        ],
    ),
    ("#/login", &[("heading", "Log in"), ("link", "Forgot your password?")]),
    ("#/forgot", &[("textbox", "E-mail"), ("button", "Send me a link")]),
    ("#reset=secret", &[("heading", "New password"), ("textbox", "Password")]),
    ("#verify=secret", &[("heading", "Verify your e-mail"), ("button", "Verify")]),
    ("#/nowhere", &[("heading", "Nothing is here")]),
];

/// Signs up, and writes a post with long words and another.
async fn settle(browser: &Browser, url: &str) {
    let visitor = Visitor::open(browser, url).await;
    visitor.sign_up("ada@example.com").await;
    visitor.write(&"Wide".repeat(40), &"wider ".repeat(40)).await;
    visitor.write("Second", "Text").await;
}

async fn emulate_network(browser: &Browser, is_offline: bool, latency: u32) {
    let conditions = json!({"offline": is_offline, "latency": latency, "downloadThroughput": -1,
        "uploadThroughput": -1});
    browser.devtools("Network.enable", &json!({})).await;
    browser.devtools("Network.emulateNetworkConditions", &conditions).await;
}

#[tokio::test]
async fn views_of_a_stranger_fit_have_contrast_and_names() {
    let service = Service::start(&MAIL_SETTINGS);
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/")).await;
        for (fragment, expected) in GUEST_VIEWS {
            browser.run_with("location.hash = arguments[0]", &[fragment]).await;
            browser.wait_for("main > :is(.welcome, .empty)").await;
            check_view(&browser, fragment).await;
            check_names(&browser, fragment, expected).await;
        }
        Visitor::new(&browser).show("join").await;
        browser.click(".card button").await;
        browser.wait_for("[aria-invalid]").await;
        check_view(&browser, "faults").await;
        check_names(&browser, "faults", &[("alert", "")]).await;
        browser.assert_no_console_error(|message| message.contains("422")).await;
    })
    .await;
}

#[tokio::test]
async fn views_of_an_account_fit_have_contrast_and_names() {
    let service = Service::start(&MAIL_SETTINGS);
    let url = service.url.clone();
    browse(async move |browser| {
        settle(&browser, &url).await;
        let visitor = Visitor::new(&browser);
        for (view, expected) in OWN_VIEWS {
            visitor.show(view).await;
            browser.wait_until_gone(".skeleton").await;
            check_view(&browser, view).await;
            check_names(&browser, view, expected).await;
        }
        browser.assert_no_console_error(|message| message.contains("404")).await;
    })
    .await;
}

/// States that a view has after an action, and while or after a request fails.
#[tokio::test]
async fn states_of_views_fit_have_contrast_and_names() {
    let service = Service::start(&MAIL_SETTINGS);
    let url = service.url.clone();
    browse(async move |browser| {
        settle(&browser, &url).await;
        let visitor = Visitor::new(&browser);
        let check = async |view: &str, expected: &[(&str, &str)]| {
            check_view(&browser, view).await;
            check_names(&browser, view, expected).await;
        };
        visitor.show("account").await;
        browser.wait_for(".sessions li").await;
        check("unverified", &[("button", "Send me a link")]).await;
        browser.run("document.querySelectorAll('details').forEach((it) => (it.open = true))").await;
        browser.wait_for(".history li").await;
        check("open account", &[("textbox", "New password"), ("button", "Download")]).await;
        browser.click(".verification button").await;
        browser.wait_for(".verification[role=status]").await;
        check("link sent", &[("status", "")]).await;
        browser.click(".deletion button").await;
        browser.wait_for("dialog[open]").await;
        check("dialog", &[("dialog", "Delete for good?"), ("button", "Cancel")]).await;
        browser.click("dialog .quiet").await;
        browser.wait_until_gone("dialog[open]").await;
        conflict(&browser, &service).await;
        check("conflict", &[("heading", "This post has changed"), ("button", "Save mine")]).await;
        emulate_network(&browser, false, 600_000).await;
        visitor.show("hot").await;
        browser.wait_for(".skeleton").await;
        check("loading", &[("status", "Loading")]).await;
        emulate_network(&browser, true, 0).await;
        visitor.show("").await;
        browser.wait_for(".failure").await;
        check("failure", &[("button", "Try again")]).await;
        emulate_network(&browser, false, 0).await;
    })
    .await;
}

/// Changes a post while the page edits it.
async fn conflict(browser: &Browser, service: &Service) {
    Visitor::new(browser).show("edit/2").await;
    browser.write("[name=content]", "mine").await;
    let token = service.log_in("ada@example.com");
    let change = json!({"content": "theirs"});
    let changed = service.connect().call("PATCH", "/posts/2", &token, Some(&change));
    changed.unwrap().expect(200);
    browser.click("button[value=true]").await;
    browser.wait_for(".versions").await;
}

#[tokio::test]
async fn keyboard_is_enough() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    const SPACE: &str = " ";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/")).await;
        browser.wait_for(".card").await;
        let focused = "const node = document.activeElement;
            const isField = node.matches('input, textarea');
            return isField ? node.name : node.ariaLabel || node.textContent";
        // Presses Tab until this has the focus.
        let go_to = async |name: &str| {
            for _ in 0..40 {
                browser.press(TAB).await;
                if browser.run(focused).await.as_str().unwrap().trim() == name {
                    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                    assert_eq!(browser.run(outline).await, "solid", "{name}");
                    return;
                }
            }
            panic!("Tab does not reach {name}");
        };
        go_to("Skip to the content").await;
        browser.press(ENTER).await;
        go_to("email").await;
        browser.press("ada@example.com").await;
        go_to("password").await;
        browser.press(PASSWORD).await;
        go_to("stay").await;
        browser.press(SPACE).await;
        go_to("Sign up").await;
        browser.press(ENTER).await;
        browser.wait_for(".tools").await;
        go_to("Write").await;
        browser.press(ENTER).await;
        go_to("title").await;
        browser.press("By keyboard").await;
        go_to("content").await;
        browser.press("Text").await;
        go_to("Publish").await;
        browser.press(ENTER).await;
        browser.wait_for("main > article").await;
        go_to("Vote up: By keyboard").await;
        browser.press(SPACE).await;
        browser.wait_for("[aria-pressed=true]").await;
        go_to("Delete").await;
        browser.press(ENTER).await;
        browser.wait_for("dialog[open]").await;
        go_to("Delete").await;
        browser.press(ENTER).await;
        browser.wait_for_text(".empty", "No posts yet").await;
    })
    .await;
}

/// Nothing moves by itself once the first view is there.
#[tokio::test]
async fn first_view_does_not_shift() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        observe_shifts(&browser).await;
        settle(&browser, &url).await;
        browser.open(&format!("{url}/docs/oauth2-redirect")).await;
        browser.open(&format!("{url}/")).await;
        browser.wait_for(".rows article").await;
        browser.wait_for("body.live").await;
        check_shifts(&browser).await;
    })
    .await;
}
