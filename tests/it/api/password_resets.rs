//! `/password-resets`, `/password-resets/confirm`

use std::time::Duration;

use post_api::domain::policy::Policy;
use post_api::mail::SendError;
use post_api::metrics::{Format, Registry};
use post_api::rate_limits::{MailRates, Rate, RateLimitConfig};
use serde_json::json;

use crate::support::{Engine, PASSWORD, SentMail, Setup, TestApp, TestResponse, key_files};

const NEW: &str = "94 moss anchors";
const ADA: &str = "ada@example.com";
const INVALID: &str = "the link is not valid any more";

async fn app_on(engine: Engine) -> TestApp {
    TestApp::set_up(Setup { engine, ..Setup::default() }).await
}

/// Returns an app whose mails of sign-ups were taken out already.
async fn app_with_ada(engine: Engine) -> TestApp {
    let app = app_on(engine).await;
    app.sign_up("ada").await;
    app.sent_mails().await;
    app
}

pub(super) async fn ask(app: &TestApp, email: &str) -> TestResponse {
    app.anonymous().post("/password-resets", &json!({"email": email})).await
}

pub(super) async fn confirm(app: &TestApp, token: &str, password: &str) -> TestResponse {
    let body = json!({"token": token, "new_password": password});
    app.anonymous().post("/password-resets/confirm", &body).await
}

/// Asks for a reset and returns the only mail.
pub(super) async fn reset_mail(app: &TestApp, email: &str) -> SentMail {
    let accepted = ask(app, email).await.expect(202);
    assert_eq!(accepted.detail(), "if this address has an account, a mail is on its way");
    let mut mails = app.sent_mails().await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

async fn assert_invalid(app: &TestApp, token: &str) {
    assert_eq!(confirm(app, token, NEW).await.expect(403).detail(), INVALID, "{token}");
}

#[tokio::test]
async fn reset_sets_the_password_and_ends_everything_else() {
    for engine in Engine::ALL {
        let app = app_on(engine).await;
        let ada = app.signed_in("ada").await;
        let session = app.start_session(ADA).await;
        app.sent_mails().await;
        let mail = reset_mail(&app, ADA).await;
        assert_eq!((mail.to.as_str(), mail.subject()), (ADA, "Reset your password"));
        let done = confirm(&app, &mail.token("reset"), NEW).await.expect(204);
        assert!(done.body.is_empty());
        ada.get("/users/me").await.expect(401);
        app.refresh(session["refresh_token"].as_str().unwrap()).await.expect(400);
        app.log_in(ADA, PASSWORD).await.expect(403);
        let login = app.log_in(ADA, NEW).await.expect(200).json();
        let ada = app.with_token(login["access_token"].as_str().unwrap());
        // A reset proves that the owner reads the mailbox.
        let me = ada.get("/users/me?include=verified").await.expect(200).json();
        assert_eq!(me["email_verified_at"], json!(format!("{:.6}", app.now())), "{engine:?}");
        let events = ada.get("/users/me/events").await.expect(200).json();
        let names: Vec<_> =
            events.as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
        assert!(names.contains(&json!("password_reset")), "{engine:?}: {names:?}");
        assert!(app.sent_mails().await.is_empty());
    }
}

#[tokio::test]
async fn link_works_once_and_ends_all_others() {
    let app = app_with_ada(Engine::Sqlite).await;
    let [first, second] =
        [reset_mail(&app, ADA).await, reset_mail(&app, ADA).await].map(|mail| mail.token("reset"));
    confirm(&app, &second, NEW).await.expect(204);
    assert_invalid(&app, &second).await;
    assert_invalid(&app, &first).await;
    app.log_in(ADA, NEW).await.expect(200);
}

#[tokio::test]
async fn concurrent_resets_with_one_link_set_one_password() {
    for engine in Engine::ALL {
        let app = app_with_ada(engine).await;
        let token = reset_mail(&app, ADA).await.token("reset");
        let passwords: Vec<String> =
            (0..4).map(|number| format!("94 moss anchors {number}")).collect();
        let resets = passwords.iter().map(|password| confirm(&app, &token, password));
        let responses = futures_util::future::join_all(resets).await;
        let mut set = Vec::new();
        for (response, password) in responses.iter().zip(&passwords) {
            match response.status.as_u16() {
                204 => set.push(password),
                status => assert_eq!(status, 403, "{engine:?}"),
            }
        }
        assert_eq!(set.len(), 1, "{engine:?}");
        app.log_in(ADA, set[0]).await.expect(200);
    }
}

#[tokio::test]
async fn change_of_the_account_ends_its_links() {
    let app = app_on(Engine::Sqlite).await;
    for (number, change) in
        ["password", "email", "logout", "disabled", "deleted"].iter().enumerate()
    {
        let name = format!("user{number}");
        let user = app.signed_in(&name).await;
        app.sent_mails().await;
        let token = reset_mail(&app, &format!("{name}@example.com")).await.token("reset");
        match *change {
            "password" => user.change_password(PASSWORD, PASSWORD).await.expect(200),
            "email" => user.change_email(&format!("{name}@example.org")).await.expect(200),
            "logout" => user.post("/logout", &json!({})).await.expect(204),
            "disabled" => {
                app.execute("UPDATE users SET disabled_at = created_at");
                confirm(&app, &token, NEW).await
            }
            _ => user.delete("/users/me").await.expect(204),
        };
        assert_invalid(&app, &token).await;
        app.sent_mails().await;
        app.execute("UPDATE users SET disabled_at = NULL");
    }
}

#[tokio::test]
async fn expired_foreign_or_changed_link_is_rejected() {
    let app = app_with_ada(Engine::Sqlite).await;
    app.sign_up("bob").await;
    let verify = app.sent_mails().await[0].token("verify");
    let reset = reset_mail(&app, ADA).await.token("reset");
    let other_key = TestApp::set_up(Setup { keys: key_files::ed25519, ..Setup::default() }).await;
    other_key.sign_up("ada").await;
    other_key.sent_mails().await;
    let foreign = reset_mail(&other_key, ADA).await.token("reset");
    let other_account = format!("AAAAAAAAAAI{}", &reset[11..]);
    let later = format!("{}_{}", &reset[..20], &reset[21..]);
    for token in ["", "x", &verify, &foreign, &other_account, &later, &"A".repeat(64)] {
        assert_invalid(&app, token).await;
    }
    app.clock.advance(60 * 60 - 1);
    let last = confirm(&app, &reset, "short").await;
    assert_eq!(last.status, 422);
    app.clock.advance(1);
    assert_invalid(&app, &reset).await;
    app.log_in(ADA, PASSWORD).await.expect(200);
    // A link also works if a key pair signs the tokens of logins.
    confirm(&other_key, &foreign, NEW).await.expect(204);
}

#[tokio::test]
async fn invalid_password_is_reported_beside_its_field() {
    let app = app_with_ada(Engine::Sqlite).await;
    let token = reset_mail(&app, ADA).await.token("reset");
    for (password, kind) in [("tiny", "string_too_short"), ("password123", "value_error")] {
        let response = confirm(&app, &token, password).await.expect(422);
        let body = response.json();
        assert_eq!(body["detail"][0]["loc"], json!(["body", "new_password"]));
        assert_eq!(body["detail"][0]["type"], kind);
        assert!(!response.text().contains(&token) && !response.text().contains(password));
    }
    // The link is still good.
    confirm(&app, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn response_does_not_tell_whether_there_is_an_account() {
    for engine in Engine::ALL {
        let app = app_on(engine).await;
        for name in ["ada", "disabled", "deleted"] {
            app.sign_up(name).await;
        }
        let deleted = app.log_in("deleted@example.com", PASSWORD).await.expect(200).json();
        let deleted = app.with_token(deleted["access_token"].as_str().unwrap());
        deleted.delete("/users/me").await.expect(204);
        app.execute(
            "UPDATE users SET disabled_at = created_at WHERE email = 'disabled@example.com'",
        );
        app.sent_mails().await;
        let mut responses = Vec::new();
        for name in ["ada", "unknown", "disabled", "deleted"] {
            let response = ask(&app, &format!("{name}@example.com")).await.expect(202);
            let mut headers = response.headers.clone();
            headers.remove("x-request-id");
            responses.push((headers, response.body));
        }
        for response in &responses[1..] {
            assert_eq!(response, &responses[0], "{engine:?}");
        }
        let mails = app.sent_mails().await;
        let recipients: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
        assert_eq!(recipients, [ADA], "{engine:?}");
    }
}

#[tokio::test]
async fn email_is_found_as_typed_and_in_its_normal_form() {
    let app = app_with_ada(Engine::Sqlite).await;
    assert_eq!(reset_mail(&app, " ada@EXAMPLE.com").await.to, ADA);
    // An adopted account, whose e-mail sign-up would write otherwise.
    app.execute("UPDATE users SET email = 'ada@EXAMPLE.com'");
    let mail = reset_mail(&app, "ada@EXAMPLE.com").await;
    assert_eq!(mail.to, ADA);
    confirm(&app, &mail.token("reset"), NEW).await.expect(204);
    for email in ["", "ada", "ada@", "a b@example.com"] {
        let body = ask(&app, email).await.expect(422).json();
        assert_eq!(body["detail"][0]["loc"], json!(["body", "email"]), "{email}");
    }
}

#[tokio::test]
async fn email_that_no_mail_can_have_is_recorded_as_failed() {
    let app = app_with_ada(Engine::Sqlite).await;
    app.execute("UPDATE users SET email = 'ada' WHERE email = 'ada@example.com'");
    let login = app.log_in("ada", PASSWORD).await.expect(200).json();
    let ada = app.with_token(login["access_token"].as_str().unwrap());
    ada.post("/users/me/email/verifications", &json!({})).await.expect(202);
    assert!(app.sent_mails().await.is_empty());
    let events = ada.get("/users/me/events").await.expect(200).json();
    assert_eq!(events[0]["event"], "mail_failed");
}

#[tokio::test]
async fn mail_is_tried_three_times_and_then_recorded_as_failed() {
    let app = app_with_ada(Engine::Sqlite).await;
    let error = || SendError::Connection("refused".to_owned());
    app.outbox.refuse(vec![error(), error()]);
    reset_mail(&app, ADA).await;
    app.outbox.refuse(vec![error(), error(), error()]);
    ask(&app, ADA).await.expect(202);
    assert!(app.sent_mails().await.is_empty());
    let login = app.log_in(ADA, PASSWORD).await.expect(200).json();
    let ada = app.with_token(login["access_token"].as_str().unwrap());
    let events = ada.get("/users/me/events").await.expect(200).json();
    let failed = |event: &&serde_json::Value| event["event"] == "mail_failed";
    assert_eq!(events.as_array().unwrap().iter().filter(failed).count(), 1, "{events}");
}

#[tokio::test]
async fn requests_over_the_limits_are_rejected() {
    let mail_rates = MailRates {
        account: Some(Rate::new(3, Duration::from_hours(1))),
        client: Some(Rate::new(5, Duration::from_hours(1))),
    };
    let app = TestApp::set_up(Setup { mail_rates, ..Setup::default() }).await;
    app.sign_up("ada").await;
    app.sent_mails().await;
    // Other spellings count for the same account, and unknown e-mails as known ones.
    for emails in [[ADA, "ada@EXAMPLE.com", " ada@example.com"], ["eve@example.com"; 3]] {
        for email in emails {
            ask(&app, email).await.expect(202);
        }
        let refused = ask(&app, emails[0]).await.expect(429);
        assert_eq!(refused.detail(), "too many requests, try again later");
        assert!(refused.header("ratelimit").starts_with("\"mail-account\""), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "1200");
        // A refusal for the account takes nothing from the client.
        app.clock.advance(1200);
        ask(&app, emails[0]).await.expect(202);
        app.clock.advance(60 * 60);
    }
    for number in 0..5 {
        ask(&app, &format!("user{number}@example.com")).await.expect(202);
    }
    let refused = ask(&app, "another@example.com").await.expect(429);
    assert!(refused.header("ratelimit").starts_with("\"mail-client\""), "{refused:?}");
}

/// Sign-ups, changes of the e-mail and verifications send mails too, but only to an account.
#[tokio::test]
async fn limit_on_resets_does_not_tell_whether_there_is_an_account() {
    for engine in Engine::ALL {
        let mail_rates =
            MailRates { account: Some(Rate::new(3, Duration::from_hours(1))), client: None };
        let app = TestApp::set_up(Setup { engine, mail_rates, ..Setup::default() }).await;
        app.sign_up("fresh").await;
        let bob = app.signed_in("bob").await;
        let verifications = "/users/me/email/verifications";
        bob.post(verifications, &json!({})).await.expect(202);
        let changed = bob.change_email("changed@example.com").await.expect(200).json();
        let bob = app.with_token(changed["access_token"].as_str().unwrap());
        for _ in 0..2 {
            bob.post(verifications, &json!({})).await.expect(202);
        }
        app.sent_mails().await;
        let mut of_each = Vec::new();
        for name in ["unknown", "fresh", "changed", "bob"] {
            let mut responses = Vec::new();
            for _ in 0..5 {
                let response = ask(&app, &format!("{name}@example.com")).await;
                let mut headers = response.headers.clone();
                headers.remove("x-request-id");
                responses.push((response.status, headers, response.body));
            }
            of_each.push(responses);
        }
        let statuses: Vec<_> = of_each[0].iter().map(|(status, ..)| status.as_u16()).collect();
        assert_eq!(statuses, [202, 202, 202, 429, 429]);
        for responses in &of_each[1..] {
            assert_eq!(responses, &of_each[0], "{engine:?}");
        }
        // And the owner can still ask for the mail after strangers have asked for resets.
        let mails = app.sent_mails().await;
        let count = |to: &str| mails.iter().filter(|mail| mail.to == to).count();
        assert_eq!((count("fresh@example.com"), count("changed@example.com")), (3, 3));
        bob.post(verifications, &json!({})).await.expect(429);
    }
}

#[tokio::test]
async fn reset_unlocks_the_account() {
    let limits = RateLimitConfig { login_lockout_threshold: 2, ..RateLimitConfig::default() };
    let limits =
        RateLimitConfig { login_locked: Some(Rate::new(1, Duration::from_hours(1))), ..limits };
    let app = TestApp::set_up(Setup { rates: Some(limits), ..Setup::default() }).await;
    app.sign_up("ada").await;
    app.sent_mails().await;
    for _ in 0..2 {
        app.log_in_from("203.0.113.7", ADA, "wrong").await.expect(403);
    }
    app.log_in_from("203.0.113.7", ADA, PASSWORD).await.expect(429);
    let token = reset_mail(&app, ADA).await.token("reset");
    confirm(&app, &token, NEW).await.expect(204);
    app.log_in_from("203.0.113.7", ADA, NEW).await.expect(200);
}

#[tokio::test]
async fn full_queue_drops_the_mail_and_answers_the_same() {
    let app = app_with_ada(Engine::Sqlite).await;
    let mailer = app.mailer().unwrap();
    let permits: Vec<_> = std::iter::from_fn(|| mailer.try_reserve()).collect();
    assert_eq!(permits.len(), 1024);
    ask(&app, ADA).await.expect(202);
    assert!(app.sent_mails().await.is_empty());
    drop(permits);
    reset_mail(&app, ADA).await;
}

/// Four are in progress, and the others wait for a connection.
#[tokio::test]
async fn mails_that_the_shutdown_drops_are_counted() {
    let app = app_with_ada(Engine::Sqlite).await;
    app.outbox.fall_silent();
    for _ in 0..6 {
        ask(&app, ADA).await.expect(202);
    }
    let mailer = app.mailer().unwrap();
    mailer.shutdown(Duration::ZERO).await;
    assert!(app.sent_mails().await.is_empty());
    assert_eq!(mailer.dropped(), 6);
    let mut registry = Registry::default();
    registry.add(app.metrics.clone());
    let metrics = registry.render(Format::Prometheus).unwrap();
    assert!(metrics.contains("post_api_mails_total{outcome=\"dropped\"} 6\n"), "{metrics}");
    assert!(metrics.contains("post_api_mails_total{outcome=\"sent\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn routes_do_not_exist_without_mail() {
    let app = TestApp::set_up(Setup { sends_mail: false, ..Setup::default() }).await;
    let ada = app.signed_in("ada").await;
    for path in [
        "/password-resets",
        "/password-resets/confirm",
        "/users/me/email/verifications",
        "/email-verifications",
    ] {
        for body in [json!({}), json!({"email": ADA})] {
            assert_eq!(ada.post(path, &body).await.expect(404).detail(), "Not Found");
        }
    }
    ada.change_email("ada@example.org").await.expect(200);
    assert!(app.sent_mails().await.is_empty());
}

#[tokio::test]
async fn password_rules_of_the_reference_service_apply_to_resets() {
    let app = TestApp::with(Policy::reference()).await;
    app.sign_up("ada").await;
    app.sent_mails().await;
    let token = reset_mail(&app, ADA).await.token("reset");
    confirm(&app, &token, "x").await.expect(204);
    app.log_in(ADA, "x").await.expect(200);
}
