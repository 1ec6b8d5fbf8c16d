//! More clients and accounts than a limit stores: their attempts stay bounded.

use super::super::RateLimitConfig;
use super::super::limit::KEYS;
use super::{Fixture, ip};

/// A rejected attempt adds no key, so no number of clients evicts a limited account.
#[tokio::test]
async fn clients_beyond_the_stored_keys_do_not_evict_an_account() {
    let fixture = Fixture::new(&RateLimitConfig::default());
    // No e-mail, because parsing that many takes long. The limits treat it as an account too.
    let (ada, guesser) = ("ada", "198.51.100.1");
    fixture.fail_from_everywhere(ada, 0).await;
    let more_than_stored = u32::try_from(3 * KEYS).unwrap();
    for number in 0..more_than_stored {
        let outcome = fixture.fail(&ip(1000 + number), ada).await;
        assert_eq!(outcome, Err("login-account"));
    }
    // Undecided attempts, as of an overloaded service, must not evict others.
    for number in 0..more_than_stored {
        let name = number.to_string();
        fixture.begin(guesser, &name).await.unwrap().undecided();
    }
    assert_eq!(fixture.fail("203.0.113.1", ada).await, Err("login-account"));
    fixture.clock.advance(12);
    assert_eq!(fixture.fail(&ip(0), ada).await, Ok(()), "one attempt for all clients");
    assert_eq!(fixture.fail(&ip(0), ada).await, Err("login-account"));
}
