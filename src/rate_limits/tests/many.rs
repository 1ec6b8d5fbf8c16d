//! A million addresses at once: what is remembered of them is bounded, and what they try is.

use super::super::RateLimitConfig;
use super::{Scene, address};

/// Those that are told no leave nothing behind: a million addresses do not make the service forget
/// an account that is guarded.
#[tokio::test]
async fn a_million_addresses_do_not_make_an_account_forgotten() {
    let scene = Scene::new(&RateLimitConfig::default());
    // No address, and an account like any other: it is read sooner, a million times.
    let (ada, guesser) = ("ada", "198.51.100.1");
    scene.fail_from_everywhere(ada, 0).await;
    for number in 0..1_000_000 {
        let refused = scene.fail(&address(1000 + number), ada).await;
        assert_eq!(refused, Err("login-account"));
    }
    // Three times as many names as are kept, looked at and not found wrong: the service was overloaded.
    for number in 0..200_000 {
        let name = number.to_string();
        scene.begin(guesser, &name).await.unwrap().undecided();
    }
    assert_eq!(scene.fail("203.0.113.1", ada).await, Err("login-account"));
    scene.hand.advance(12);
    assert_eq!(scene.fail(&address(0), ada).await, Ok(()), "one of all");
    assert_eq!(scene.fail(&address(0), ada).await, Err("login-account"));
}
