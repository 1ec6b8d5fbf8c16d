//! Attempts to log in: who is refused, and who never is.

use super::super::RateLimitConfig;
use super::{Scene, address};

const ADA: &str = "ada@example.com";

const OWNER: &str = "203.0.113.1";
const GUESSER: &str = "198.51.100.1";

fn scene() -> Scene {
    Scene::new(&RateLimitConfig::default())
}

/// With an account that so many wrong passwords were tried for, none of them from either address.
async fn after(failures: u32) -> Scene {
    let scene = scene();
    for number in 0..failures {
        scene.fail(&address(number), ADA).await.unwrap();
    }
    scene
}

#[tokio::test]
async fn one_client_tries_so_many_passwords_whatever_the_accounts() {
    let scene = scene();
    for number in 0..20 {
        scene.fail(GUESSER, &format!("user{number}@example.com")).await.unwrap();
    }
    assert_eq!(scene.fail(GUESSER, "another@example.com").await, Err("login-address"));
    assert_eq!(scene.succeed(GUESSER, ADA).await, Err("login-address"));
    assert_eq!(scene.succeed(OWNER, ADA).await, Ok(()));
    scene.hand.advance(15);
    assert_eq!(scene.fail(GUESSER, ADA).await, Ok(()));
    assert_eq!(scene.fail(GUESSER, ADA).await, Err("login-address"));
}

#[tokio::test]
async fn right_passwords_count_for_nothing() {
    let scene = scene();
    for _ in 0..10_000 {
        scene.succeed(OWNER, ADA).await.unwrap();
    }
    assert_eq!(scene.fail_on(OWNER, "eve@example.com").await, (20, "login-address"));
}

#[tokio::test]
async fn neither_do_faults_of_ours() {
    let scene = scene();
    for _ in 0..10_000 {
        scene.begin(GUESSER, ADA).await.unwrap().undecided();
    }
    assert_eq!(scene.fail_on(GUESSER, ADA).await, (20, "login-address"));
}

#[tokio::test]
async fn who_leaves_before_the_answer_has_had_a_try() {
    let scene = scene();
    for _ in 0..20 {
        drop(scene.begin(GUESSER, ADA).await.unwrap());
    }
    assert_eq!(scene.begin(GUESSER, ADA).await.err(), Some("login-address"));
}

/// A hundred failures in a row are let through, from one address or from many.
#[tokio::test]
async fn an_account_is_guarded_after_a_hundred_failures_in_a_row() {
    let scene = after(99).await;
    assert_eq!(scene.fail(&address(0), ADA).await, Ok(()), "the hundredth");
    for _ in 0..3 {
        scene.fail(&address(0), ADA).await.unwrap();
    }
    assert_eq!(scene.fail(&address(0), ADA).await, Err("login-guarded"), "five from there");
    assert_eq!(scene.succeed(OWNER, ADA).await, Ok(()));
    assert_eq!(scene.fail(&address(0), ADA).await, Ok(()), "the owner has ended the row");
}

#[tokio::test]
async fn whoever_failed_before_has_fewer_tries_after() {
    let scene = scene();
    for count in 0..100 {
        // As slowly as its own limit wants it, and faster than tries come back.
        scene.hand.advance(15);
        assert_eq!(scene.fail(GUESSER, ADA).await, Ok(()), "{count}");
    }
    scene.hand.advance(15);
    assert_eq!(scene.fail(GUESSER, ADA).await, Err("login-guarded"));
    assert_eq!(scene.fail(GUESSER, "eve@example.com").await, Ok(()), "another account is not");
    // What was too much before it was guarded is not waited for.
    scene.hand.advance(12 * 60);
    assert_eq!(scene.fail(GUESSER, ADA).await, Ok(()));
    assert_eq!(scene.fail(GUESSER, ADA).await, Err("login-guarded"));
}

#[tokio::test]
async fn a_fresh_address_has_a_few_tries() {
    let scene = after(150).await;
    assert_eq!(scene.fail_on(GUESSER, ADA).await, (5, "login-guarded"));
    scene.hand.advance(12 * 60);
    assert_eq!(scene.fail_on(GUESSER, ADA).await, (1, "login-guarded"));
    assert_eq!(scene.succeed(OWNER, ADA).await, Ok(()), "with the right password");
}

/// However many addresses there are, one account is tried so often and no more.
#[tokio::test]
async fn all_addresses_together_are_bounded() {
    let scene = scene();
    assert_eq!(scene.fail_from_everywhere(ADA, 0).await, (300, "login-account"));
    scene.hand.advance(60);
    assert_eq!(scene.fail_from_everywhere(ADA, 1000).await, (5, "login-account"));
    assert_eq!(scene.fail(&address(0), "eve@example.com").await, Ok(()), "another account");
}

/// From where they have logged in before the owner gets in whatever others do.
#[tokio::test]
async fn nobody_locks_the_owner_out_of_where_they_are_known() {
    let scene = scene();
    scene.succeed(OWNER, ADA).await.unwrap();
    for round in 1..20 {
        scene.fail_from_everywhere(ADA, round * 1000).await;
        assert_eq!(scene.succeed(OWNER, ADA).await, Ok(()));
        assert_eq!(scene.succeed("203.0.113.2", ADA).await, Err("login-account"), "not known");
    }
    // Nor do a few wrong passwords of their own.
    for _ in 0..4 {
        assert_eq!(scene.fail(OWNER, ADA).await, Ok(()));
    }
    assert_eq!(scene.succeed(OWNER, ADA).await, Ok(()));
}

/// Being known is worth no more tries than being fresh.
#[tokio::test]
async fn from_where_the_owner_is_known_guessing_is_bounded_too() {
    let scene = scene();
    scene.succeed(OWNER, ADA).await.unwrap();
    scene.fail_from_everywhere(ADA, 0).await;
    assert_eq!(scene.fail_on(OWNER, ADA).await, (5, "login-guarded"));
}

/// Every spelling of one address is one account, and what is no address is one too.
#[tokio::test]
async fn accounts_are_known_by_their_normal_address() {
    let scene = after(150).await;
    assert_eq!(scene.fail_on(GUESSER, " ada@EXAMPLE.com ").await, (5, "login-guarded"));
    for number in 0..150 {
        scene.fail(&address(1000 + number), "no address").await.unwrap();
    }
    assert_eq!(scene.fail_on(OWNER, "no address").await, (5, "login-guarded"));
    assert_eq!(scene.fail("203.0.113.7", "no address at all").await, Ok(()));
}

/// What is under way may fail: together with what has failed it is never more than allowed.
#[tokio::test]
async fn attempts_at_the_same_moment_count_as_failures() {
    let scene = after(90).await;
    for _ in 0..5 {
        scene.fail(GUESSER, ADA).await.unwrap();
    }
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(scene.begin(GUESSER, ADA).await.unwrap());
    }
    assert_eq!(scene.begin(GUESSER, ADA).await.err(), Some("login-guarded"));
    begun.pop().unwrap().undecided();
    begun.push(scene.begin(GUESSER, ADA).await.unwrap());
    for attempt in begun {
        attempt.failed().await.unwrap();
    }
    assert_eq!(scene.begin(GUESSER, ADA).await.err(), Some("login-guarded"));
}

/// Twice as many at the same moment cost twice as much time.
#[tokio::test]
async fn what_was_too_much_at_once_is_waited_for() {
    let scene = scene();
    let mut begun = Vec::new();
    for _ in 0..40 {
        begun.push(scene.begin(GUESSER, ADA).await.unwrap());
    }
    for attempt in begun {
        attempt.failed().await.unwrap();
    }
    scene.hand.advance(20 * 15);
    assert_eq!(scene.fail(GUESSER, ADA).await, Err("login-address"));
    scene.hand.advance(15);
    assert_eq!(scene.fail(GUESSER, ADA).await, Ok(()));
}

#[tokio::test]
async fn without_that_limit_no_account_is_guarded() {
    let rates =
        RateLimitConfig { login_guarded: None, login_account: None, ..RateLimitConfig::default() };
    let scene = Scene::new(&rates);
    for number in 0..500 {
        scene.fail(&address(number), ADA).await.unwrap();
    }
    assert_eq!(scene.fail_on(GUESSER, ADA).await, (20, "login-address"));
}
