//! `/users/me/email/verifications`, `/email-verifications`, and `GET /users/me?include=verified`

use std::time::Duration;

use post_api::rate_limits::{MailRates, Rate};
use serde_json::{Value, json};

use super::password_resets::{confirm, reset_mail};
use crate::support::{Engine, PASSWORD, Setup, TestApp, TestCaller, TestResponse};

const ADA: &str = "ada@example.com";

/// Returns the rates that allow so many mails an hour to one e-mail.
fn limit(mails: u32) -> MailRates {
    MailRates { account: Some(Rate::new(mails, Duration::from_hours(1))), client: None }
}

async fn verify(app: &TestApp, token: &str) -> TestResponse {
    app.anonymous().post("/email-verifications", &json!({ "token": token })).await
}

async fn verified_at(caller: &TestCaller<'_>) -> Value {
    let me = caller.get("/users/me?include=verified").await.expect(200).json();
    me["email_verified_at"].clone()
}

#[tokio::test]
async fn sign_up_sends_a_link_that_verifies_the_email() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        assert_eq!(verified_at(&ada).await, Value::Null);
        let mails = app.sent_mails().await;
        assert_eq!((mails.len(), mails[0].to.as_str()), (1, ADA), "{engine:?}");
        assert_eq!(mails[0].subject(), "Confirm your e-mail address");
        let token = mails[0].token("verify");
        app.clock.advance(60);
        let time = format!("{:.6}", app.now());
        assert!(verify(&app, &token).await.expect(204).body.is_empty());
        assert_eq!(verified_at(&ada).await, time, "{engine:?}");
        // A second use changes nothing.
        app.clock.advance(60);
        verify(&app, &token).await.expect(204);
        assert_eq!(verified_at(&ada).await, time, "{engine:?}");
        let events = ada.get("/users/me/events").await.expect(200).json();
        assert_eq!(events[0]["event"], "email_verified", "{engine:?}");
    }
}

#[tokio::test]
async fn verification_is_only_shown_when_asked_for() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let plain = ada.get("/users/me").await.expect(200);
    let token = app.sent_mails().await[0].token("verify");
    verify(&app, &token).await.expect(204);
    let again = ada.get("/users/me").await.expect(200);
    assert_eq!((again.text(), again.header("etag")), (plain.text(), plain.header("etag")));
    assert_eq!(ada.get("/users/me?include=").await.expect(200).text(), plain.text());
    for query in ["include=x", "include=name", "include=verified,x"] {
        let response = ada.get(&format!("/users/me?{query}")).await.expect(422).json();
        assert_eq!(response["detail"][0]["loc"][1], "include", "{query}");
    }
    app.anonymous().get("/users/me?include=verified").await.expect(401);
}

#[tokio::test]
async fn asking_again_sends_another_link() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    app.sent_mails().await;
    let accepted = ada.post("/users/me/email/verifications", &json!({})).await.expect(202);
    assert_eq!(accepted.detail(), "a mail is on its way");
    let mails = app.sent_mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, ADA));
    verify(&app, &mails[0].token("verify")).await.expect(204);
    app.anonymous().post("/users/me/email/verifications", &json!({})).await.expect(401);
    ada.post("/logout", &json!({})).await.expect(204);
    ada.post("/users/me/email/verifications", &json!({})).await.expect(401);
    assert!(app.sent_mails().await.is_empty());
}

#[tokio::test]
async fn change_of_the_email_notifies_the_old_one_and_asks_the_new_one() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        let old = app.sent_mails().await[0].token("verify");
        verify(&app, &old).await.expect(204);
        let changed = ada.change_email("ada@example.org").await.expect(200).json();
        let ada = app.with_token(changed["access_token"].as_str().unwrap());
        assert_eq!(verified_at(&ada).await, Value::Null, "{engine:?}");
        let mut mails = app.sent_mails().await;
        mails.sort_by(|a, b| a.to.cmp(&b.to));
        let sent: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.subject())).collect();
        let expected = [
            (ADA, "Your e-mail address was changed"),
            ("ada@example.org", "Confirm your e-mail address"),
        ];
        assert_eq!(sent, expected, "{engine:?}");
        assert!(!mails[0].text.contains("ada@example.org") && !mails[0].text.contains("/#"));
        assert_eq!(verify(&app, &old).await.expect(403).detail(), "the link is not valid any more");
        verify(&app, &mails[1].token("verify")).await.expect(204);
        // The same e-mail again is no change.
        let same = ada.change_email("ada@example.org").await.expect(200).json();
        let ada = app.with_token(same["access_token"].as_str().unwrap());
        assert_ne!(verified_at(&ada).await, Value::Null, "{engine:?}");
        assert!(app.sent_mails().await.is_empty(), "{engine:?}");
    }
}

/// Any account can name the e-mail of a stranger, and then another one.
#[tokio::test]
async fn stranger_gets_no_more_mails_than_the_limit_allows() {
    const STRANGER: &str = "stranger@example.net";
    let mail_rates = limit(3);
    let app = TestApp::set_up(Setup { mail_rates, ..Setup::default() }).await;
    let mut token = app.signed_in("ada").await.token.unwrap();
    let mut to_stranger = 0;
    for round in 0..4 {
        for email in [STRANGER.to_owned(), format!("ada{round}@example.com")] {
            let changed = app.with_token(&token).change_email(&email).await.expect(200).json();
            changed["access_token"].as_str().unwrap().clone_into(&mut token);
            to_stranger += app.sent_mails().await.iter().filter(|mail| mail.to == STRANGER).count();
        }
    }
    assert_eq!(to_stranger, 3);
}

#[tokio::test]
async fn expired_or_wrong_link_verifies_nothing() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let token = app.sent_mails().await[0].token("verify");
    let reset = reset_mail(&app, ADA).await.token("reset");
    for wrong in ["", "x", &reset, &"A".repeat(64), &format!("{token}A")] {
        let refused = verify(&app, wrong).await.expect(403);
        assert_eq!(refused.detail(), "the link is not valid any more");
    }
    app.clock.advance(24 * 60 * 60);
    verify(&app, &token).await.expect(403);
    app.clock.advance(-1);
    verify(&app, &token).await.expect(204);
}

#[tokio::test]
async fn reset_ends_links_that_verify() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let token = app.sent_mails().await[0].token("verify");
    let reset = reset_mail(&app, ADA).await.token("reset");
    confirm(&app, &reset, "94 moss anchors").await.expect(204);
    verify(&app, &token).await.expect(403);
}

#[tokio::test]
async fn mails_of_sign_ups_are_limited_for_each_email() {
    let mail_rates = limit(2);
    let app = TestApp::set_up(Setup { mail_rates, ..Setup::default() }).await;
    // One account after the other with the same e-mail.
    for sent in [1, 1, 0] {
        let ada = app.signed_in("ada").await;
        assert_eq!(app.sent_mails().await.len(), sent);
        ada.delete("/users/me").await.expect(204);
    }
    let ada = app.signed_in("ada").await;
    let refused = ada.post("/users/me/email/verifications", &json!({})).await.expect(429);
    assert!(refused.header("ratelimit").starts_with("\"mail-verification\""), "{refused:?}");
}

/// During a rolling upgrade an older release changes the e-mail without knowing the column.
#[tokio::test]
async fn change_by_an_older_release_removes_the_verification() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        verify(&app, &app.sent_mails().await[0].token("verify")).await.expect(204);
        app.execute("UPDATE users SET email = email, name = 'Ada'");
        assert_ne!(verified_at(&ada).await, Value::Null, "{engine:?}");
        app.execute("UPDATE users SET email = 'ada@example.org'");
        assert_eq!(verified_at(&ada).await, Value::Null, "{engine:?}");
    }
}

#[tokio::test]
async fn replayed_sign_up_sends_no_second_mail() {
    let app = TestApp::start().await;
    let mut caller = app.anonymous();
    caller.key = Some("k".to_owned());
    let account = json!({"email": ADA, "password": PASSWORD});
    for sent in [1, 0] {
        caller.post("/users", &account).await.expect(201);
        assert_eq!(app.sent_mails().await.len(), sent);
    }
}
