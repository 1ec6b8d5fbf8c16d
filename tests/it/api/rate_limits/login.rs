//! Rate limits of logins, and of other checks of a password.

use post_api::auth::Argon2Params;
use post_api::rate_limits::RateLimitConfig;
use serde_json::{Value, json};

use super::{
    ADA, GUESSER, OWNER, app_with_limits, assert_no_limit_headers, assert_rate_limited,
    json_request, other_ip, rate, sign_up_request,
};
use crate::support::{CHEAP, Engine, FORM, PASSWORD, Setup, TestApp, run_concurrently};

const WRONG: &str = "a wrong password";

#[tokio::test]
async fn guessing_from_one_ip_is_limited() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    app.sign_up("ada").await;
    for _ in 0..20 {
        let response = app.log_in_from(GUESSER, ADA, WRONG).await.expect(403);
        assert_no_limit_headers(&response);
    }
    let refused = app.log_in_from(GUESSER, ADA, WRONG).await;
    assert_rate_limited(&refused, "login-address", 20, 300, 15);
    let refused = app.log_in_from(GUESSER, "eve@example.com", PASSWORD).await;
    assert_rate_limited(&refused, "login-address", 20, 300, 15);
    let refused = app.log_in_from(GUESSER, ADA, PASSWORD).await;
    assert_rate_limited(&refused, "login-address", 20, 300, 15);
    let response = app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    assert_no_limit_headers(&response);
    app.clock.advance(14);
    let refused = app.log_in_from(GUESSER, ADA, WRONG).await;
    assert_rate_limited(&refused, "login-address", 20, 300, 1);
    app.clock.advance(1);
    app.log_in_from(GUESSER, ADA, WRONG).await.expect(403);
}

/// After 100 consecutive failures the account is locked (soft lockout). A client IP without
/// failures still has attempts, so the owner can log in.
#[tokio::test]
async fn guessing_from_many_ips_locks_the_account_but_not_the_owner() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    app.sign_up("ada").await;
    for round in 0..4 {
        for number in 0..25 {
            let response = app.log_in_from(&other_ip(number), ADA, WRONG).await;
            assert_eq!(response.status, 403, "{round} {number}");
        }
    }
    for number in 0..25 {
        app.log_in_from(&other_ip(number), ADA, WRONG).await.expect(403);
    }
    for number in 0..25 {
        let refused = app.log_in_from(&other_ip(number), ADA, PASSWORD).await;
        assert_rate_limited(&refused, "login-guarded", 5, 3600, 720);
    }
    app.log_in_from(OWNER, ADA, WRONG).await.expect(403);
    app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    // A success resets the consecutive failures, so the other clients may fail again.
    app.log_in_from(&other_ip(1), ADA, WRONG).await.expect(403);
}

/// The limit of the account holds for all client IPs together, except the networks where its owner
/// has logged in before.
#[tokio::test]
async fn account_limit_applies_except_from_known_networks() {
    let app = app_with_limits(RateLimitConfig {
        login_account: Some(rate(30, 60)),
        ..RateLimitConfig::default()
    })
    .await;
    app.sign_up("ada").await;
    app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    for number in 0..30 {
        app.log_in_from(&other_ip(number), ADA, WRONG).await.expect(403);
    }
    for number in 30..60 {
        let refused = app.log_in_from(&other_ip(number), ADA, PASSWORD).await;
        assert_rate_limited(&refused, "login-account", 30, 60, 2);
    }
    app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    app.log_in_from(OWNER, ADA, WRONG).await.expect(403);
    app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    app.log_in_from(&other_ip(61), "eve@example.com", WRONG).await.expect(403);
}

/// A check in flight counts as a failure, so concurrent guesses get no extra attempts.
#[tokio::test]
async fn concurrent_guesses_count_while_in_flight() {
    let rates = RateLimitConfig {
        login_lockout_threshold: 10,
        login_ip: None,
        ..RateLimitConfig::default()
    };
    let app = app_with_limits(rates).await;
    app.sign_up("ada").await;
    for _ in 0..5 {
        app.log_in_from(GUESSER, ADA, WRONG).await.expect(403);
    }
    let responses = run_concurrently((0..100).map(|_| app.log_in_from(GUESSER, ADA, WRONG))).await;
    let count = |status: u16| responses.iter().filter(|response| response.status == status).count();
    assert_eq!((count(403), count(429)), (5, 95));
    app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
}

/// Compares status, headers and body of every attempt with and without the account.
#[tokio::test]
async fn unknown_account_is_limited_like_a_known_one() {
    let rates = RateLimitConfig {
        login_lockout_threshold: 30,
        login_account: Some(rate(50, 60)),
        ..RateLimitConfig::default()
    };
    let mut seen = Vec::new();
    for has_account in [true, false] {
        let app = app_with_limits(rates).await;
        app.sign_up(if has_account { "ada" } else { "eve" }).await;
        let mut responses = Vec::new();
        for number in 0..100 {
            let from = if number < 60 { other_ip(number % 6) } else { other_ip(number) };
            let mut response = app.log_in_from(&from, ADA, WRONG).await;
            response.headers.remove("x-request-id");
            responses.push((response.status, response.headers, response.body));
            app.clock.advance(i64::from(number % 10 == 0));
        }
        seen.push(responses);
    }
    assert_eq!(seen[0], seen[1]);
    for limit in ["login-guarded", "login-account"] {
        let names = seen[0].iter().filter_map(|(_, headers, _)| headers.get("ratelimit"));
        let mut names = names.map(|value| value.to_str().unwrap());
        assert!(names.any(|name| name.contains(limit)), "no attempt reached {limit}");
    }
}

/// A /64 network counts as one client. An IPv4-mapped address counts as its IPv4 address.
#[tokio::test]
async fn ipv6_clients_are_limited_by_64_bit_prefix() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    for number in 0..20 {
        app.log_in_from(&format!("2001:db8:1:2::{number:x}"), ADA, WRONG).await.expect(403);
    }
    let refused = app.log_in_from("2001:db8:1:2:ffff::1", ADA, WRONG).await;
    assert_rate_limited(&refused, "login-address", 20, 300, 15);
    app.log_in_from("2001:db8:1:3::1", ADA, WRONG).await.expect(403);
    for _ in 0..20 {
        app.log_in_from("::ffff:198.51.100.1", ADA, WRONG).await.expect(403);
    }
    app.log_in_from("198.51.100.1", ADA, WRONG).await.expect(429);
    app.log_in_from("::ffff:198.51.100.2", ADA, WRONG).await.expect(403);
}

/// An invalid form is not an attempt.
#[tokio::test]
async fn login_without_password_is_not_counted() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    for _ in 0..50 {
        app.log_in_from(GUESSER, ADA, "").await.expect(422);
    }
    for _ in 0..20 {
        app.log_in_from(GUESSER, ADA, WRONG).await.expect(403);
    }
    app.log_in_from(GUESSER, ADA, WRONG).await.expect(429);
    app.log_in_from(GUESSER, ADA, "").await.expect(422);
}

#[tokio::test]
async fn correct_logins_are_never_limited() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    app.sign_up("ada").await;
    for _ in 0..400 {
        let response = app.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
        assert_no_limit_headers(&response);
    }
}

#[tokio::test]
async fn logins_with_limits_off_are_never_limited() {
    let app = TestApp::set_up(Setup { rates: None, ..Setup::default() }).await;
    app.sign_up("ada").await;
    for _ in 0..350 {
        app.log_in_from(GUESSER, ADA, WRONG).await.expect(403);
    }
    app.log_in_from(GUESSER, ADA, PASSWORD).await.expect(200);
}

/// Otherwise the thief of a token could guess the password on these routes.
#[tokio::test]
async fn password_confirmations_share_the_login_limit() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    let ada = app.signed_in("ada").await;
    let with_token = |method: &str, path: &str, body: &Value| {
        let mut request = json_request(method, path, body);
        let token = format!("Bearer {}", ada.token.as_ref().unwrap());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        request
    };
    let password = json!({"current_password": WRONG, "new_password": "94 moss anchors"});
    let email = json!({"email": "countess@example.com", "current_password": WRONG});
    for _ in 0..10 {
        let request = with_token("POST", "/users/me/password", &password);
        app.send_from(GUESSER, request).await.expect(403);
        let request = with_token("PATCH", "/users/me", &email);
        app.send_from(GUESSER, request).await.expect(403);
    }
    for request in [
        with_token("POST", "/users/me/password", &password),
        with_token("PATCH", "/users/me", &email),
    ] {
        let refused = app.send_from(GUESSER, request).await;
        assert_rate_limited(&refused, "login-address", 20, 300, 15);
    }
    assert_rate_limited(
        &app.log_in_from(GUESSER, ADA, PASSWORD).await,
        "login-address",
        20,
        300,
        15,
    );
    let right = json!({"current_password": PASSWORD, "new_password": "94 moss anchors"});
    let request = with_token("POST", "/users/me/password", &right);
    app.send_from(OWNER, request).await.expect(200);
}

/// The failures are in the database, so all processes share them and a restart keeps them.
#[tokio::test]
async fn consecutive_failures_are_counted_across_processes() {
    let app = app_with_limits(RateLimitConfig::default()).await;
    app.sign_up("ada").await;
    let rates = Some(RateLimitConfig::default());
    let replica = app.replica_with(Setup { rates, ..Setup::default() });
    for number in 0..100 {
        let process = if number % 2 == 0 { &app } else { &replica };
        process.log_in_from(&other_ip(number), ADA, WRONG).await.expect(403);
    }
    for process in [&app, &replica] {
        for _ in 0..5 {
            process.log_in_from(GUESSER, ADA, WRONG).await.expect(403);
        }
        let refused = process.log_in_from(GUESSER, ADA, PASSWORD).await;
        assert_rate_limited(&refused, "login-guarded", 5, 3600, 720);
    }
    replica.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    app.log_in_from(&other_ip(1), ADA, WRONG).await.expect(403);
}

/// Known networks belong to the account, not to its e-mail, at every replica.
#[tokio::test]
async fn known_network_is_kept_after_email_change() {
    let app = app_with_low_account_limit().await;
    let replica = replica_with_low_account_limit(&app);
    let ada = app.signed_in("ada").await;
    for process in [&app, &replica] {
        process.log_in_from(OWNER, ADA, PASSWORD).await.expect(200);
    }
    ada.change_email("ada@example.org").await.expect(200);
    for process in [&app, &replica] {
        for number in 0..3 {
            process.log_in_from(&other_ip(number), "ada@example.org", WRONG).await.expect(403);
        }
        process.log_in_from(GUESSER, "ada@example.org", PASSWORD).await.expect(429);
        process.log_in_from(OWNER, "ada@example.org", PASSWORD).await.expect(200);
    }
}

/// An attacker can have had an account with the e-mail of another person.
#[tokio::test]
async fn known_network_of_deleted_account_is_unknown_to_its_successor() {
    let app = app_with_low_account_limit().await;
    let replica = replica_with_low_account_limit(&app);
    let first = app.signed_in("ada").await;
    for process in [&app, &replica] {
        process.log_in_from(GUESSER, ADA, PASSWORD).await.expect(200);
    }
    first.delete("/users/me").await.expect(204);
    app.sign_up("ada").await;
    for process in [&app, &replica] {
        for number in 0..3 {
            process.log_in_from(&other_ip(number), ADA, WRONG).await.expect(403);
        }
        process.log_in_from(GUESSER, ADA, WRONG).await.expect(429);
    }
}

fn low_account_limit() -> RateLimitConfig {
    RateLimitConfig { login_account: Some(rate(3, 3600)), ..RateLimitConfig::default() }
}

async fn app_with_low_account_limit() -> TestApp {
    app_with_limits(low_account_limit()).await
}

fn replica_with_low_account_limit(app: &TestApp) -> TestApp {
    app.replica_with(Setup { rates: Some(low_account_limit()), ..Setup::default() })
}

/// A right password is never rate limited. So a client or an account that logs in all the time gets
/// a share of the hashing.
#[tokio::test]
async fn one_client_or_account_does_not_fill_the_hashing_queue() {
    let rates = RateLimitConfig { hashing_capacity: 16, ..RateLimitConfig::default() };
    let app = app_with_limits(rates).await;
    for name in ["ada", "bob"] {
        app.sign_up(name).await;
    }
    let ip = |text: &str| Some(text.parse().unwrap());
    let many: Vec<String> = (0..8).map(other_ip).collect();
    for clients in [vec![GUESSER.to_owned(); 8], many] {
        let in_flight: Vec<_> = clients
            .iter()
            .map(|client| app.rate_limits.hashing_permit(ip(client), Some(ADA)).unwrap())
            .collect();
        let refused = app.log_in_from(&clients[0], ADA, PASSWORD).await.expect(503);
        assert_eq!(refused.header("retry-after"), "2");
        app.log_in_from(OWNER, "bob@example.com", PASSWORD).await.expect(200);
        let sign_up = sign_up_request(&format!("user{}", clients[1]));
        app.send_from(OWNER, sign_up).await.expect(201);
        drop(in_flight);
        app.log_in_from(&clients[0], ADA, PASSWORD).await.expect(200);
    }
    let _in_flight: Vec<_> =
        (0..8).map(|_| app.rate_limits.hashing_permit(ip(GUESSER), None).unwrap()).collect();
    app.send_from(GUESSER, sign_up_request("eve")).await.expect(503);
    // The wrong password was not verified, so it does not count.
    for _ in 0..50 {
        app.log_in_from(GUESSER, ADA, WRONG).await.expect(503);
    }
}

/// A trigger that revokes the tokens of an account when its hash is upgraded, that is, after its
/// password was verified and before its token is issued.
fn sign_out_during_login(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER sign_out AFTER UPDATE OF password ON users
             BEGIN UPDATE users SET tokens_valid_from = 1738324799000000 WHERE id = NEW.id; END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION sign_out() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.tokens_valid_from = to_timestamp(1738324799); RETURN NEW; END $$;
             CREATE TRIGGER sign_out BEFORE UPDATE OF password ON users
             FOR EACH ROW EXECUTE FUNCTION sign_out()"
        }
    }
}

/// Its password is right, so it must be neither refused nor get a revoked token.
#[tokio::test]
async fn login_during_sign_out_returns_a_valid_token() {
    for engine in Engine::ALL {
        for scope in ["", "offline_access"] {
            let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
            app.sign_up("ada").await;
            app.execute(sign_out_during_login(engine));
            let strength = Argon2Params { memory_kib: 16, ..CHEAP };
            let rates = Some(RateLimitConfig::default());
            let stronger = app.replica_with(Setup { strength, rates, ..Setup::default() });
            let form = format!("username={ADA}&password=plum+lantern+83+quay&scope={scope}");
            let login = stronger.anonymous().send_raw("POST", "/login", FORM, form).await;
            let login = login.expect(200).json();
            let ada = stronger.with_token(login["access_token"].as_str().unwrap());
            let events = ada.get("/users/me/events").await.expect(200).json();
            let kinds: Vec<&str> = events
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["event"].as_str().unwrap())
                .collect();
            assert_eq!(kinds, ["logged_in", "signed_up"], "{engine:?} {scope}");
            if let Some(token) = login["refresh_token"].as_str() {
                stronger.refresh(token).await.expect(200);
            }
        }
    }
}
