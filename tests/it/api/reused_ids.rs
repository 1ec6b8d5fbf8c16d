//! Tokens of accounts that the database has lost, after another account got their ID.
//!
//! Not here: random sequences of losses, see `stress/identity.rs`.

use std::collections::BTreeSet;

use post_api::store::migrate::migrate;
use serde_json::{Value, json};

use super::access::assert_rejected_everywhere;
use crate::support::{Engine, PASSWORD, Setup, TestApp, forge};

/// How a database loses an account, so that the next account gets its ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// A backup is restored, or a standby that lacks the last sign-ups becomes the primary.
    Restore,
    /// As the documentation says, the operator then revokes all tokens.
    RestoreAndSignOut,
    /// The file was removed, or the service got a new database. It has the old key.
    NewDatabase,
    DowngradeAndUpgrade,
    Truncation,
}

const LOSSES: [Loss; 5] = [
    Loss::Restore,
    Loss::RestoreAndSignOut,
    Loss::NewDatabase,
    Loss::DowngradeAndUpgrade,
    Loss::Truncation,
];

#[tokio::test]
async fn token_of_lost_account_is_rejected_on_sqlite() {
    token_of_lost_account_is_rejected(Engine::Sqlite).await;
}

#[tokio::test]
async fn token_of_lost_account_is_rejected_on_postgresql() {
    token_of_lost_account_is_rejected(Engine::Postgres).await;
}

async fn token_of_lost_account_is_rejected(engine: Engine) {
    for loss in LOSSES {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        if matches!(loss, Loss::Restore | Loss::RestoreAndSignOut) {
            app.sign_up("ada").await;
        }
        let backup = app.restored_copy();
        let lost = app.sign_up("lost").await;
        let tokens = tokens_of_lost_account(&app, lost, loss).await;
        // The tokens of both accounts would be equal in the same second.
        app.clock.advance(1);
        let app = lose(app, backup, loss).await;
        let next = app.sign_up("next").await;
        assert_eq!(next, lost, "{loss:?}");
        let login = log_in(&app, "next").await;
        assert_eq!(login["expires_in"], Value::Null);
        let owner = app.with_token(login["access_token"].as_str().unwrap());
        let post = owner.write_post("post").await;
        let before = owner.get("/posts").await.expect(200).text().to_owned();
        for token in tokens {
            let caller = app.with_token(&token);
            let detail = "Could not validate credentials";
            for id in BTreeSet::from([post, next]) {
                assert_rejected_everywhere(&app, &caller, id, detail).await;
            }
            let seen = caller.get(&format!("/users/{next}")).await.expect(200).json();
            assert_eq!(seen["email"], Value::Null, "{loss:?}");
        }
        assert_eq!(owner.get("/posts").await.expect(200).text(), before, "{loss:?}");
        let me = owner.get("/users/me").await.expect(200).json();
        assert_eq!(me["email"], "next@example.com", "{loss:?}");
    }
}

/// Returns the tokens of the account: of a login, and of a login after a sign-out.
async fn tokens_of_lost_account(app: &TestApp, id: i64, loss: Loss) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let token = log_in(app, "lost").await["access_token"].as_str().unwrap().to_owned();
        tokens.push(token.clone());
        app.with_token(&token).post("/logout", &json!({})).await.expect(204);
    }
    if loss == Loss::RestoreAndSignOut {
        // The reference service issued it now. Its tokens do not say when, so only the revocation of
        // all tokens ends them.
        let claims = json!({"user_id": id, "exp": app.now().as_second() + 1800});
        tokens.push(forge(&json!({"alg": "HS256", "typ": "JWT"}), &claims));
    }
    tokens
}

async fn log_in(app: &TestApp, name: &str) -> Value {
    app.log_in(&format!("{name}@example.com"), PASSWORD).await.expect(200).json()
}

async fn lose(app: TestApp, backup: TestApp, loss: Loss) -> TestApp {
    match loss {
        Loss::Restore => backup,
        Loss::RestoreAndSignOut => {
            let mut admin = backup.admin().await;
            assert_eq!(admin.sign_out_all(backup.now()).await.unwrap(), 1);
            drop(admin);
            backup
        }
        Loss::NewDatabase => app.with_empty_database().await,
        Loss::DowngradeAndUpgrade => {
            let mut admin = app.admin().await;
            let newest = admin.migrations().len();
            for target in [0, newest] {
                migrate(admin.as_mut(), target, app.now(), |_| {}).await.unwrap();
            }
            drop(admin);
            app
        }
        Loss::Truncation => {
            app.execute(if app.engine() == Engine::Sqlite {
                "DELETE FROM users; DELETE FROM sqlite_sequence"
            } else {
                "TRUNCATE users RESTART IDENTITY CASCADE"
            });
            app
        }
    }
}

/// The clock stands still, so everything happens within one second.
#[tokio::test]
async fn login_in_the_second_of_the_sign_up_succeeds() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        for (name, is_signed_out) in [("ada", false), ("bob", true), ("eve", true)] {
            if is_signed_out {
                let mut admin = app.admin().await;
                admin.sign_out_all(app.now()).await.unwrap();
            }
            let id = app.sign_up(name).await;
            let token = log_in(&app, name).await["access_token"].as_str().unwrap().to_owned();
            let me = app.with_token(&token).get("/users/me").await.expect(200).json();
            assert_eq!(me["id"], id, "{engine:?}");
            // The sign-out is no reason to reject a token of the reference service from later on.
            let claims = json!({"user_id": id, "exp": app.now().as_second() + 1801});
            let reference = app.with_token(&forge(&json!({"alg": "HS256"}), &claims));
            reference.get("/users/me").await.expect(200);
        }
    }
}
