//! Links in mails, from the page that asks for them to the view that they open. The browser finds
//! the host of the links at the service, and the mails come over SMTP.

use serde_json::json;

use super::visitor::Visitor;
use crate::browser::chromium::Browser;
use crate::browser::visits::{browse, browse_host};
use crate::support::{PASSWORD, Service, SmtpServer, SmtpTls};

const HOST: &str = "posts.example.net";
const ADA: &str = "ada@example.com";
const NEW: &str = "94 moss anchors";

/// Starts a service below the path, which sends its mails to the server.
fn start(server: &SmtpServer, root_path: &str, others: &[(&str, &str)]) -> Service {
    let mail = [
        ("ROOT_PATH", root_path),
        ("SMTP_URL", &format!("smtp://127.0.0.1:{}?tls=none", server.port())),
        ("MAIL_FROM", "no-reply@example.net"),
        ("PUBLIC_URL", &format!("http://{HOST}{root_path}")),
    ];
    Service::start(&[&mail[..], others].concat())
}

/// Returns the only link of the next mail, which is below the URL of the page.
fn next_link(server: &SmtpServer, url: &str, view: &str) -> String {
    let mail = server.next_mail().mail;
    assert_eq!(mail.to, ADA);
    let link = format!("{url}/#{view}={}", mail.token(view));
    assert!(mail.text.contains(&format!("\n{link}\n")), "{}", mail.text);
    link
}

/// Opens the link in another tab, and presses its button.
async fn follow(browser: &Browser, link: &str, heading: &str) {
    browser.open_tab(link).await;
    browser.wait_for_text(".card h2", heading).await;
    let address = browser.run("return location.href").await;
    let page = link.split('#').next().unwrap();
    assert_eq!(address, format!("{page}#/mail"), "the token stays in the address");
    if heading == "New password" {
        browser.write("[name=password]", NEW).await;
    }
    browser.click(".card button").await;
}

/// The e-mail of a new account is verified with the link that the account asks for.
async fn verify(browser: &Browser, server: &SmtpServer, url: &str) {
    let visitor = Visitor::open(browser, url).await;
    visitor.sign_up(ADA).await;
    let greeting = next_link(server, url, "verify");
    visitor.show("account").await;
    browser.wait_for_text(".verification", "Your e-mail is not verified").await;
    browser.click(".verification button").await;
    browser.wait_for_text(".verification[role=status]", "A mail is on its way").await;
    let asked = next_link(server, url, "verify");
    follow(browser, &asked, "Verify your e-mail").await;
    browser.wait_for_text(".toast", "Your e-mail is verified").await;
    // A second use changes nothing.
    for link in [&asked, &greeting] {
        follow(browser, link, "Verify your e-mail").await;
        browser.wait_for_text(".toast", "Your e-mail is verified").await;
    }
    visitor.log_in(ADA, PASSWORD).await;
    browser.wait_for(".tools").await;
    visitor.show("account").await;
    browser.wait_for(".account").await;
    browser.wait_until_gone(".verification").await;
    visitor.log_out().await;
}

/// A person who has forgotten the password gets another one, once for each link.
async fn reset(browser: &Browser, server: &SmtpServer, url: &str) {
    let visitor = Visitor::open(browser, url).await;
    visitor.show("login").await;
    browser.click("a[href='#/forgot']").await;
    browser.wait_for_text(".card h2", "Forgot your password?").await;
    browser.write("[name=email]", ADA).await;
    browser.click(".card button").await;
    browser.wait_for_text(".toast", "a mail is on its way").await;
    let link = next_link(server, url, "reset");
    follow(browser, &link, "New password").await;
    browser.wait_for_text(".toast", "You can log in now").await;

    visitor.log_in(ADA, PASSWORD).await;
    browser.wait_for_text(".card [role=alert]", "The e-mail or the password is wrong").await;
    visitor.log_in(ADA, NEW).await;
    browser.wait_for(".tools").await;
    follow(browser, &link, "New password").await;
    browser.wait_for_text(".card [role=alert]", "link is not valid any more").await;
}

async fn verify_and_reset_below(root_path: &'static str) {
    let server = SmtpServer::start(SmtpTls::None, "250 ok");
    let service = start(&server, root_path, &[]);
    let address = service.address().to_owned();
    browse_host(HOST, &address, async move |browser| {
        let url = format!("http://{HOST}{root_path}");
        verify(&browser, &server, &url).await;
        reset(&browser, &server, &url).await;
        assert!(server.other_mails().is_empty());
        // The reset has ended the session of the first tab, which may still have a stream.
        let is_refusal =
            |message: &str| ["400", "401", "403"].iter().any(|status| message.contains(status));
        browser.assert_no_console_error(is_refusal).await;
        browser.assert_requests_stay_at(&url, "/password-resets/confirm").await;
        drop(service);
    })
    .await;
}

#[tokio::test]
async fn e_mail_is_verified_and_password_reset_with_links_of_mails() {
    verify_and_reset_below("").await;
}

#[tokio::test]
async fn links_of_mails_lead_to_the_page_below_a_prefix() {
    verify_and_reset_below("/blog/v2").await;
}

/// The account says when it can ask again, and asks for nothing if the service sends no mail.
#[tokio::test]
async fn verification_that_is_limited_or_fails_is_explained() {
    let server = SmtpServer::start(SmtpTls::None, "250 ok");
    let limits = [("RATE_LIMITS", "on"), ("RATE_LIMIT_MAIL_ACCOUNT", "2/1h")];
    let service = start(&server, "", &limits);
    let address = service.address().to_owned();
    browse_host(HOST, &address, async move |browser| {
        let visitor = Visitor::open(&browser, &format!("http://{HOST}")).await;
        visitor.sign_up(ADA).await;
        visitor.show("account").await;
        let offline = |is_offline: bool| {
            json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1,
                "uploadThroughput": -1})
        };
        browser.wait_for(".verification").await;
        browser.devtools("Network.enable", &json!({})).await;
        browser.devtools("Network.emulateNetworkConditions", &offline(true)).await;
        browser.wait_for_text(".offline", "You are offline").await;
        browser.click(".verification button").await;
        browser.wait_for_text(".verification .fault", "Nothing is lost").await;
        browser.devtools("Network.emulateNetworkConditions", &offline(false)).await;
        browser.wait_until_gone(".offline:not([hidden])").await;
        browser.click(".verification button").await;
        browser.wait_for_text(".verification", "A mail is on its way").await;
        visitor.show("mine").await;
        browser.wait_for(".empty").await;
        visitor.show("account").await;
        browser.click(".verification button").await;
        browser.wait_for_text(".verification .fault", "Try again in").await;
        drop((service, server));
    })
    .await;
}

#[tokio::test]
async fn account_asks_for_no_verification_without_mail() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let visitor = Visitor::open(&browser, &url).await;
        visitor.sign_up(ADA).await;
        visitor.show("account").await;
        browser.wait_for(".sessions li").await;
        browser.wait_until_gone(".verification").await;
        browser.assert_console_is_empty("/").await;
    })
    .await;
}
