//! The page at `/`: people sign up, read, write and vote, by mouse, keyboard and screen reader.

mod access;
mod fragments;
mod live;
mod mails;
mod two_browsers;
mod visitor;

use serde_json::json;

use super::visits::browse;
use crate::support::{PASSWORD, Service};
use visitor::Visitor;

#[tokio::test]
async fn stranger_signs_up_writes_edits_and_deletes() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        browser.wait_for_text(".empty", "Nothing here yet").await;

        visitor.write("First", "Hello").await;
        browser.wait_for_text(".title", "First").await;
        browser.click("a[href^='#/edit/']").await;
        browser.write("[name=content]", "Hello again").await;
        browser.click("button[value=true]").await;
        browser.wait_for_text("main > article .text", "Hello again").await;

        browser.reload().await;
        browser.wait_for_text("main > article .text", "Hello again").await;
        browser.click("article .danger").await;
        browser.click("dialog .danger").await;
        browser.wait_for_text(".empty", "No posts yet").await;

        browser.assert_console_is_empty("/").await;
        browser.assert_requests_stay_at(&url, "/app.js").await;
    })
    .await;
}

#[tokio::test]
async fn draft_is_listed_only_as_draft_until_it_is_published() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        visitor.fill_editor("Later", "Not yet").await;
        browser.click("button[value=false]").await;
        browser.wait_for_text(".meta", "Draft").await;
        visitor.show("").await;
        browser.wait_for(".empty").await;
        visitor.show("mine/drafts").await;
        browser.click(".rows .title").await;
        browser.click("a[href^='#/edit/']").await;
        browser.wait_for_text("button[value=true]", "Publish").await;
        browser.click("button[value=true]").await;
        browser.wait_for("main > article").await;
        visitor.show("").await;
        browser.wait_for_text(".rows article", "Later").await;
        browser.click(".rows .votes button").await;
        browser.wait_for_text(".rows .count", "1").await;
        visitor.show("mine/votes").await;
        browser.wait_for_text(".rows article", "Later").await;
        browser.assert_console_is_empty("/").await;
    })
    .await;
}

#[tokio::test]
async fn reload_and_new_tab_keep_the_login_as_chosen() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        for _ in 0..3 {
            browser.reload().await;
            browser.wait_for_text("header", "Account").await;
            browser.wait_for(".empty").await;
        }
        let stored = "return JSON.stringify([{...localStorage}, document.cookie])";
        assert_eq!(browser.run(stored).await, "[{},\"\"]");
        visitor.show("account").await;
        browser.click(".this").await;
        browser.wait_for(".guest a").await;

        visitor.show("login").await;
        browser.write("[name=username]", "ada@example.com").await;
        browser.write("[name=password]", PASSWORD).await;
        browser.click("[name=stay]").await;
        browser.click(".card button").await;
        browser.wait_for(".empty").await;
        browser.open_tab(&format!("{url}/")).await;
        browser.wait_for(".empty").await;
        let sent = "return JSON.stringify([{...sessionStorage}])";
        assert_eq!(browser.run(sent).await, "[{}]");
        visitor.show("account").await;
        browser.wait_for_text(".sessions", "This browser").await;
        let rows = "return document.querySelectorAll('.sessions li').length";
        assert_eq!(browser.run(rows).await, 1, "the first session is still open");
        browser.assert_console_is_empty("/").await;
    })
    .await;
}

/// The page shows texts of other users as text, also if they contain HTML.
#[tokio::test]
async fn markup_in_a_title_stays_text() {
    const MARKUP: &str = "<img src=x onerror='window.owned = 1'><b>bold</b>{{x}}{id}";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        visitor.write(MARKUP, MARKUP).await;
        browser.wait_for_text(".title", MARKUP).await;
        visitor.show("").await;
        browser.wait_for_text(".rows .title", MARKUP).await;
        visitor.show("search/%3Cimg").await;
        browser.wait_for_text("h1", "<img").await;
        browser.wait_for_text(".rows .text", MARKUP).await;
        assert_eq!(
            browser.run("return document.querySelectorAll('main img, main b b').length").await,
            0
        );
        assert_eq!(browser.run("return typeof window.owned").await, "undefined");
        // The browser itself refuses markup.
        let refused = "try { document.body.innerHTML = '<i>' } catch (error) { return error.name }";
        assert_eq!(browser.run(refused).await, "TypeError");
    })
    .await;
}

#[tokio::test]
async fn edit_of_a_changed_post_shows_both_texts() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        for (button, kept) in [(".versions button", "mine"), (".versions a", "theirs")] {
            visitor.write("Post", "before").await;
            browser.click("a[href^='#/edit/']").await;
            browser.write("[name=content]", "mine").await;
            let change = json!({"content": "theirs"});
            let changed = service.connect().call(
                "PATCH",
                &visitor.path_of_post().await,
                &service.log_in("ada@example.com"),
                Some(&change),
            );
            changed.unwrap().expect(200);
            browser.click("button[value=true]").await;
            browser.wait_for_text(".versions section:first-child", "mine").await;
            browser.wait_for_text(".versions section:last-child", "theirs").await;
            browser.click(button).await;
            browser.wait_for_text("main > article .text", kept).await;
        }
        browser.assert_no_console_error(|message| message.contains("412")).await;
    })
    .await;
}

/// The response to a write is lost; the person presses the button again.
#[tokio::test]
async fn write_whose_response_is_lost_happens_once() {
    const LOSE_RESPONSES: &str = "const send = window.fetch; window.lost = 0;
        window.fetch = async (url, request) => {
          const response = await send(url, request);
          if (request.method !== 'POST' || window.lost === 1) return response;
          window.lost += 1;
          throw new TypeError('network');
        }";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        visitor.fill_editor("Once", "Hello").await;
        browser.run(LOSE_RESPONSES).await;
        browser.click("button[value=true]").await;
        browser.wait_for_text("form .fault", "Nothing is lost").await;
        browser.click("button[value=true]").await;
        browser.wait_for("main > article").await;
        visitor.show("mine").await;
        browser.wait_for(".rows article").await;
        assert_eq!(
            browser.run("return document.querySelectorAll('.rows article').length").await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn faults_stand_beside_their_fields() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        browser.write("[name=email]", "ada").await;
        browser.write("[name=password]", "short").await;
        browser.click(".card button").await;
        browser.wait_for_text("label:has([name=email])", "not a valid email").await;
        browser.wait_for_text("label:has([name=password])", "at least 8 characters").await;
        assert_eq!(browser.run("return document.activeElement.name").await, "email");
        visitor.sign_up("ada@example.com").await;
        visitor.show("account").await;
        browser.click(".this").await;
        browser.click(".guest a[href='#/login']").await;
        browser.write("[name=username]", "ada@example.com").await;
        browser.write("[name=password]", "wrong").await;
        browser.click(".card button").await;
        browser.wait_for_text(".card [role=alert]", "e-mail or the password is wrong").await;
    })
    .await;
}

#[tokio::test]
async fn limits_and_failures_are_explained() {
    let service = Service::start(&[("RATE_LIMITS", "on"), ("RATE_LIMIT_LOGIN_IP", "1/5m")]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        visitor.show("account").await;
        browser.click(".this").await;
        visitor.show("login").await;
        browser.write("[name=username]", "ada@example.com").await;
        browser.write("[name=password]", "wrong").await;
        browser.click(".card button").await;
        browser.wait_for_text(".card [role=alert]", "wrong").await;
        browser.click(".card button").await;
        browser.wait_for_text(".card [role=alert]", "Try again in 5 min").await;
        let offline = json!({"offline": true, "latency": 0, "downloadThroughput": 0,
            "uploadThroughput": 0});
        browser.devtools("Network.enable", &json!({})).await;
        browser.devtools("Network.emulateNetworkConditions", &offline).await;
        browser.wait_for_text(".offline", "You are offline").await;
        browser.click(".card button").await;
        browser.wait_for_text(".card [role=alert]", "Nothing is lost").await;
    })
    .await;
}

#[tokio::test]
async fn account_is_changed_exported_and_deleted() {
    let service = Service::start(&[("DELETE_REQUIRES_PASSWORD", "on")]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up("ada@example.com").await;
        visitor.show("account").await;
        browser.click("details:has(.name) summary").await;
        browser.write("[name=name]", "Ada Lovelace").await;
        browser.click(".name button").await;
        browser.wait_for_text("details:has(.name) summary", "Ada Lovelace").await;
        browser.click("details:has(.password) summary").await;
        browser.write(".password [name=current_password]", PASSWORD).await;
        browser.write(".password [name=new_password]", "94 moss anchors").await;
        browser.click(".password button").await;
        browser.wait_for_text(".toast", "All other sessions have ended").await;
        browser.click(".history summary").await;
        browser.wait_for_text(".history ul", "password changed").await;
        browser.click("details:has(.deletion) summary").await;
        browser.write(".deletion [name=current_password]", "94 moss anchors").await;
        browser.click(".deletion button").await;
        browser.click("dialog .danger").await;
        browser.wait_for_text(".toast", "Your account is deleted").await;
        browser.wait_for(".guest a").await;
        browser.assert_console_is_empty("/").await;
        browser.assert_requests_stay_at(&url, "/users/me").await;
    })
    .await;
}

/// A link opens a view, and only its button posts. The token leaves the address at once.
#[tokio::test]
async fn links_of_mails_post_nothing_by_themselves() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        for (link, heading) in [("reset=secret", "New password"), ("verify=secret", "Verify")] {
            browser.open(&format!("{url}/docs/oauth2-redirect")).await;
            browser.open(&format!("{url}/#{link}")).await;
            browser.wait_for_text(".card h2", heading).await;
            let address = browser.run("return location.href").await;
            assert_eq!(address, format!("{url}/#/mail"));
        }
        browser.assert_console_is_empty("/").await;
    })
    .await;
}

#[tokio::test]
async fn visitor_reads_without_an_account_if_the_service_allows() {
    let service = Service::start(&[("ANONYMOUS_READS", "on")]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    let post = json!({"title": "Open", "content": "to all"});
    service.connect().call("POST", "/posts", &token, Some(&post)).unwrap().expect(201);
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/")).await;
        browser.click(".rows .title").await;
        browser.wait_for_text("main > article .text", "to all").await;
        browser.click(".votes button").await;
        browser.wait_for_text(".card h2", "Log in").await;
        browser.assert_console_is_empty("/").await;
    })
    .await;
}
