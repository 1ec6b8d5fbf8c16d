//! A million clients: their memory and their attempts are bounded.

use super::super::RateLimitConfig;
use super::{Fixture, ip};

/// A rejected attempt adds no key, so a million clients do not evict a limited account.
#[tokio::test]
async fn million_clients_do_not_evict_an_account() {
    let fixture = Fixture::new(&RateLimitConfig::default());
    // No e-mail, because parsing a million e-mails takes long. The limits treat it as an account too.
    let (ada, guesser) = ("ada", "198.51.100.1");
    fixture.fail_from_everywhere(ada, 0).await;
    for number in 0..1_000_000 {
        let outcome = fixture.fail(&ip(1000 + number), ada).await;
        assert_eq!(outcome, Err("login-account"));
    }
    // Three times as many accounts as a limit stores. Undecided attempts, as of an overloaded
    // service, must not evict others.
    for number in 0..200_000 {
        let name = number.to_string();
        fixture.begin(guesser, &name).await.unwrap().undecided();
    }
    assert_eq!(fixture.fail("203.0.113.1", ada).await, Err("login-account"));
    fixture.clock.advance(12);
    assert_eq!(fixture.fail(&ip(0), ada).await, Ok(()), "one attempt for all clients");
    assert_eq!(fixture.fail(&ip(0), ada).await, Err("login-account"));
}
