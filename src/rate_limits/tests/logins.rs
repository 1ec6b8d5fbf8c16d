//! Login attempts: which are rejected, and which are never rejected.

use super::super::RateLimitConfig;
use super::{Fixture, ip, user};
use crate::domain::user::UserId;

const ADA: &str = "ada@example.com";

const OWNER: &str = "203.0.113.1";
const GUESSER: &str = "198.51.100.1";

fn fixture() -> Fixture {
    Fixture::new(&RateLimitConfig::default())
}

/// Returns a fixture after this many failures of the account [`ADA`], from other clients than
/// [`OWNER`] and [`GUESSER`].
async fn after(failures: u32) -> Fixture {
    let fixture = fixture();
    for number in 0..failures {
        fixture.fail(&ip(number), ADA).await.unwrap();
    }
    fixture
}

#[tokio::test]
async fn client_is_limited_across_accounts() {
    let fixture = fixture();
    for number in 0..20 {
        fixture.fail(GUESSER, &format!("user{number}@example.com")).await.unwrap();
    }
    assert_eq!(fixture.fail(GUESSER, "another@example.com").await, Err("login-address"));
    assert_eq!(fixture.succeed(GUESSER, ADA).await, Err("login-address"));
    assert_eq!(fixture.succeed(OWNER, ADA).await, Ok(()));
    fixture.clock.advance(15);
    assert_eq!(fixture.fail(GUESSER, ADA).await, Ok(()));
    assert_eq!(fixture.fail(GUESSER, ADA).await, Err("login-address"));
}

#[tokio::test]
async fn right_password_is_not_counted() {
    let fixture = fixture();
    for _ in 0..10_000 {
        fixture.succeed(OWNER, ADA).await.unwrap();
    }
    assert_eq!(fixture.fail_on(OWNER, "eve@example.com").await, (20, "login-address"));
}

#[tokio::test]
async fn undecided_attempt_is_not_counted() {
    let fixture = fixture();
    for _ in 0..10_000 {
        fixture.begin(GUESSER, ADA).await.unwrap().undecided();
    }
    assert_eq!(fixture.fail_on(GUESSER, ADA).await, (20, "login-address"));
}

#[tokio::test]
async fn disconnected_attempt_counts_against_the_client() {
    let fixture = fixture();
    for _ in 0..20 {
        drop(fixture.begin(GUESSER, ADA).await.unwrap());
    }
    assert_eq!(fixture.begin(GUESSER, ADA).await.err(), Some("login-address"));
}

/// A hundred failures in a row are allowed, from one client or from many.
#[tokio::test]
async fn account_is_locked_after_a_hundred_failures() {
    let fixture = after(99).await;
    assert_eq!(fixture.fail(&ip(0), ADA).await, Ok(()), "the hundredth");
    for _ in 0..3 {
        fixture.fail(&ip(0), ADA).await.unwrap();
    }
    assert_eq!(
        fixture.fail(&ip(0), ADA).await,
        Err("login-guarded"),
        "five attempts from this client"
    );
    assert_eq!(fixture.succeed(OWNER, ADA).await, Ok(()));
    assert_eq!(fixture.fail(&ip(0), ADA).await, Ok(()), "the owner's login unlocks the account");
}

#[tokio::test]
async fn failures_before_the_lockout_count_after_it() {
    let fixture = fixture();
    for count in 0..100 {
        // Slow enough for `login-address`, but too fast for `login-guarded` to recover.
        fixture.clock.advance(15);
        assert_eq!(fixture.fail(GUESSER, ADA).await, Ok(()), "{count}");
    }
    fixture.clock.advance(15);
    assert_eq!(fixture.fail(GUESSER, ADA).await, Err("login-guarded"));
    assert_eq!(
        fixture.fail(GUESSER, "eve@example.com").await,
        Ok(()),
        "another account is not locked"
    );
    // Failures before the lockout do not extend the wait beyond one interval.
    fixture.clock.advance(12 * 60);
    assert_eq!(fixture.fail(GUESSER, ADA).await, Ok(()));
    assert_eq!(fixture.fail(GUESSER, ADA).await, Err("login-guarded"));
}

#[tokio::test]
async fn fresh_client_has_five_attempts_at_a_locked_account() {
    let fixture = after(150).await;
    assert_eq!(fixture.fail_on(GUESSER, ADA).await, (5, "login-guarded"));
    fixture.clock.advance(12 * 60);
    assert_eq!(fixture.fail_on(GUESSER, ADA).await, (1, "login-guarded"));
    assert_eq!(fixture.succeed(OWNER, ADA).await, Ok(()), "with the right password");
}

/// The limit of an account holds for any number of IPs.
#[tokio::test]
async fn all_clients_together_are_limited() {
    let fixture = fixture();
    assert_eq!(fixture.fail_from_everywhere(ADA, 0).await, (300, "login-account"));
    fixture.clock.advance(60);
    assert_eq!(fixture.fail_from_everywhere(ADA, 1000).await, (5, "login-account"));
    assert_eq!(fixture.fail(&ip(0), "eve@example.com").await, Ok(()), "another account");
}

/// The owner can log in from a known network even during an attack.
#[tokio::test]
async fn owner_is_not_locked_out_of_known_network() {
    let fixture = fixture();
    fixture.succeed(OWNER, ADA).await.unwrap();
    for round in 1..20 {
        fixture.fail_from_everywhere(ADA, round * 1000).await;
        assert_eq!(fixture.succeed(OWNER, ADA).await, Ok(()));
        assert_eq!(fixture.succeed("203.0.113.2", ADA).await, Err("login-account"), "not known");
    }
    // A few wrong passwords of the owner do not lock the owner out either.
    for _ in 0..4 {
        assert_eq!(fixture.fail(OWNER, ADA).await, Ok(()));
    }
    assert_eq!(fixture.succeed(OWNER, ADA).await, Ok(()));
}

#[tokio::test]
async fn known_network_belongs_to_the_account_and_not_to_its_email() {
    let (old, new) = (ADA, "countess@example.com");
    let fixture = fixture();
    fixture.succeed(OWNER, old).await.unwrap();
    for email in [old, new] {
        fixture.fail_from_everywhere(email, 1000).await;
    }
    let renamed = fixture.begin_as(OWNER, new, user(old)).await;
    assert_eq!(renamed.err(), None, "after a change of the e-mail");
    let successor = fixture.begin_as(OWNER, old, UserId(4711)).await;
    assert_eq!(successor.err(), Some("login-account"), "a new account with the same e-mail");
}

/// Returns an address of a site: a /48 network.
fn ipv6(site: u32, line: u32, network: u32) -> String {
    format!("2001:db8:{site:x}:{line:02x}{network:02x}::1")
}

/// Tries one password from each of the clients. Returns how many were allowed.
async fn fail_from(fixture: &Fixture, clients: impl IntoIterator<Item = String>) -> usize {
    let mut allowed = 0;
    for (number, client) in clients.into_iter().enumerate() {
        let outcome = fixture.fail(&client, &format!("user{number}@example.com")).await;
        allowed += usize::from(outcome.is_ok());
    }
    allowed
}

#[tokio::test]
async fn wider_ipv6_networks_are_limited_across_accounts() {
    for (clients, expected) in [
        ((0..1000).map(|_| ipv6(1, 1, 1)).collect::<Vec<_>>(), 20),
        ((0..1000).map(|number| ipv6(1, 1, number % 256)).collect(), 40),
        ((0..1000).map(|number| ipv6(1, number % 256, number / 256)).collect(), 80),
        ((0..1000).map(|number| ipv6(number, 1, 1)).collect(), 1000),
        ((0..1000).map(|number| format!("64:ff9b::c633:64{:02x}", number % 50)).collect(), 1000),
    ] {
        let fixture = fixture();
        let first = clients.first().cloned();
        assert_eq!(fail_from(&fixture, clients).await, expected, "{first:?}");
    }
    let fixture = fixture();
    fail_from(&fixture, (0..1000).map(|number| ipv6(1, 1, number % 256))).await;
    assert_eq!(fixture.succeed(&ipv6(1, 1, 99), ADA).await, Err("login-address"));
    assert_eq!(fixture.succeed(&ipv6(1, 2, 99), ADA).await, Ok(()), "another line");
}

/// A household of IPv6 has 256 or 65,536 networks.
#[tokio::test]
async fn household_cannot_use_up_the_limit_of_an_account() {
    let fixture = fixture();
    for number in 0..8192 {
        let _ = fixture.fail(&ipv6(1, number / 256, number % 256), ADA).await;
    }
    assert_eq!(fixture.succeed(OWNER, ADA).await, Ok(()));
}

/// The number of networks in the documentation.
#[tokio::test]
async fn limit_of_an_account_takes_a_dozen_sites_or_45_ipv4_addresses() {
    type Client = fn(u32, u32) -> String;
    let site: Client = |site, number| ipv6(site, number % 256, number / 256);
    let ipv4: Client = |address, _| ip(address);
    for (client_of, expected) in [(site, 12), (ipv4, 45)] {
        let fixture = fixture();
        let mut networks = 0;
        while let Ok(attempt) = fixture.begin("203.0.113.99", ADA).await {
            attempt.undecided();
            for number in 0..300 {
                let _ = fixture.fail(&client_of(networks, number), ADA).await;
            }
            networks += 1;
        }
        assert_eq!(networks, expected);
    }
}

/// Neighbours share the wider networks of the owner.
#[tokio::test]
async fn neighbours_cannot_lock_the_owner_out_of_known_network() {
    let fixture = after(100).await;
    let owner = ipv6(1, 1, 1);
    fixture.succeed(&owner, ADA).await.unwrap();
    for number in 0..1000 {
        let _ = fixture.fail(&ipv6(1, number % 256, 2 + number / 256), ADA).await;
    }
    assert_eq!(fixture.succeed(&ipv6(1, 1, 77), ADA).await, Err("login-address"));
    assert_eq!(fixture.succeed(&owner, ADA).await, Ok(()));
}

/// A known network has no more attempts than a fresh one.
#[tokio::test]
async fn guessing_from_known_network_is_limited() {
    let fixture = fixture();
    fixture.succeed(OWNER, ADA).await.unwrap();
    fixture.fail_from_everywhere(ADA, 0).await;
    assert_eq!(fixture.fail_on(OWNER, ADA).await, (5, "login-guarded"));
}

/// All spellings of one e-mail are the same account. A text that is no e-mail counts as an account
/// too.
#[tokio::test]
async fn account_key_is_the_normalized_email() {
    let fixture = after(150).await;
    assert_eq!(fixture.fail_on(GUESSER, " ada@EXAMPLE.com ").await, (5, "login-guarded"));
    for number in 0..150 {
        fixture.fail(&ip(1000 + number), "no e-mail").await.unwrap();
    }
    assert_eq!(fixture.fail_on(OWNER, "no e-mail").await, (5, "login-guarded"));
    assert_eq!(fixture.fail("203.0.113.7", "no e-mail at all").await, Ok(()));
}

/// An attempt in flight may fail. Failures and attempts in flight together stay within the limit.
#[tokio::test]
async fn attempts_in_flight_count_as_failures() {
    let fixture = after(90).await;
    for _ in 0..5 {
        fixture.fail(GUESSER, ADA).await.unwrap();
    }
    let mut attempts = Vec::new();
    for _ in 0..5 {
        attempts.push(fixture.begin(GUESSER, ADA).await.unwrap());
    }
    assert_eq!(fixture.begin(GUESSER, ADA).await.err(), Some("login-guarded"));
    attempts.pop().unwrap().undecided();
    attempts.push(fixture.begin(GUESSER, ADA).await.unwrap());
    for attempt in attempts {
        attempt.failed().await.unwrap();
    }
    assert_eq!(fixture.begin(GUESSER, ADA).await.err(), Some("login-guarded"));
}

/// After twice the allowed burst, recovery takes twice the time.
#[tokio::test]
async fn excess_attempts_extend_the_wait() {
    let fixture = fixture();
    let mut attempts = Vec::new();
    for _ in 0..40 {
        attempts.push(fixture.begin(GUESSER, ADA).await.unwrap());
    }
    for attempt in attempts {
        attempt.failed().await.unwrap();
    }
    fixture.clock.advance(20 * 15);
    assert_eq!(fixture.fail(GUESSER, ADA).await, Err("login-address"));
    fixture.clock.advance(15);
    assert_eq!(fixture.fail(GUESSER, ADA).await, Ok(()));
}

#[tokio::test]
async fn account_is_never_locked_without_the_locked_limit() {
    let rates =
        RateLimitConfig { login_locked: None, login_account: None, ..RateLimitConfig::default() };
    let fixture = Fixture::new(&rates);
    for number in 0..500 {
        fixture.fail(&ip(number), ADA).await.unwrap();
    }
    assert_eq!(fixture.fail_on(GUESSER, ADA).await, (20, "login-address"));
}
