//! Accounts of an adopted database whose e-mail sign-up would reject or write otherwise. The
//! reference service compares the text of a login with the stored one.

use post_api::auth::Passwords;
use post_api::domain::email::{Email, TypedEmail};
use post_api::domain::user::NewUser;
use post_api::rate_limits::RateLimitConfig;
use serde_json::json;

use crate::support::{CHEAP, Engine, PASSWORD, Setup, TestApp};

/// Stored e-mails. The last two are the same address in two forms, and both have an account.
const STORED: [&str; 12] = [
    "admin",
    "admin@company.local",
    "bob@EXAMPLE.com",
    " ada2@example.com",
    "x@example",
    "u@192.168.0.1",
    "a..b@example.com",
    "u\u{308}@example.com",
    "test@test.test",
    "Ann <ann@example.com>",
    "Eve@EXAMPLE.com",
    "Eve@example.com",
];

/// Adds accounts with these e-mails, as another program would.
async fn adopt(app: &TestApp, emails: &[&str]) {
    let passwords = Passwords::new(CHEAP, std::num::NonZeroUsize::MIN).unwrap();
    let password_hash = passwords.hash(PASSWORD.into()).await.unwrap();
    for email in emails {
        let email = Email::from_stored((*email).to_owned());
        let password_hash = password_hash.clone();
        let new = NewUser { email, password_hash, created_at: app.now() };
        app.store.create_user(new).await.unwrap();
    }
}

#[tokio::test]
async fn account_logs_in_with_its_email_as_stored() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        adopt(&app, &STORED).await;
        for stored in STORED {
            let login = app.log_in(stored, PASSWORD).await;
            assert_eq!(login.status, 200, "{engine:?} {stored:?}: {}", login.text());
            let token = login.json()["access_token"].as_str().unwrap().to_owned();
            let account = app.with_token(&token);
            let me = account.get("/users/me").await.expect(200).json();
            assert_eq!(me["email"], stored, "{engine:?}");
            app.log_in(stored, "wrong").await.expect(403);
            assert!(app.sign_out(&TypedEmail::new(stored)).await, "{stored:?}");
            assert_eq!(account.get("/users/me").await.status, 401, "{engine:?} {stored:?}");
        }
    }
}

/// Only the stored form or a text whose normal form is stored names an account.
#[tokio::test]
async fn other_spelling_finds_the_normal_form_only() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        adopt(&app, &["bob@EXAMPLE.com", "eve@example.com", "admin"]).await;
        for (typed, status) in [
            ("bob@EXAMPLE.com", 200),
            ("bob@example.com", 403),
            ("bob@Example.com", 403),
            ("eve@EXAMPLE.com", 200),
            (" eve@example.com ", 200),
            ("Eve@example.com", 403),
            ("admin", 200),
            ("Admin", 403),
            ("admin ", 403),
            ("\0", 403),
            ("admin\0", 403),
            ("eve@example.com\0", 403),
        ] {
            let response = app.log_in(typed, PASSWORD).await;
            assert_eq!(response.status, status, "{engine:?} {typed:?}: {}", response.text());
        }
        app.log_in(&"a".repeat(100_000), PASSWORD).await.expect(403);
        // As in the reference service, the other form is still free.
        let account = json!({"email": "bob@example.com", "password": PASSWORD});
        let id = app.anonymous().post("/users", &account).await.expect(201).json()["id"].clone();
        for (typed, is_new) in [("bob@example.com", true), ("bob@EXAMPLE.com", false)] {
            let login = app.log_in(typed, PASSWORD).await.expect(200).json();
            let account = app.with_token(login["access_token"].as_str().unwrap());
            let me = account.get("/users/me").await.expect(200).json();
            assert_eq!(me["id"] == id, is_new, "{engine:?} {typed}");
        }
    }
}

/// The limit of an account is not doubled by a second spelling.
#[tokio::test]
async fn spellings_of_an_email_share_the_login_limit() {
    let rates = RateLimitConfig {
        login_account: Some(post_api::rate_limits::Rate::new(
            4,
            std::time::Duration::from_hours(1),
        )),
        ..RateLimitConfig::default()
    };
    let app = TestApp::set_up(Setup { rates: Some(rates), ..Setup::default() }).await;
    adopt(&app, &["bob@EXAMPLE.com"]).await;
    let spellings = ["bob@EXAMPLE.com", "bob@example.com", " bob@Example.com", "bob@EXAMPLE.COM"];
    for (number, spelling) in spellings.iter().enumerate() {
        let peer = format!("203.0.113.{number}");
        app.log_in_from(&peer, spelling, "wrong").await.expect(403);
    }
    for spelling in spellings {
        app.log_in_from("203.0.113.9", spelling, "wrong").await.expect(429);
    }
}

/// Everything that the owner confirms with the password works too.
#[tokio::test]
async fn owner_can_change_an_unusual_email() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        adopt(&app, &["admin"]).await;
        let login = app.log_in("admin", PASSWORD).await.expect(200).json();
        let account = app.with_token(login["access_token"].as_str().unwrap());
        account.change_email("admin@example.com").await.expect(200);
        app.log_in("admin", PASSWORD).await.expect(403);
        app.log_in("admin@example.com", PASSWORD).await.expect(200);
    }
}
