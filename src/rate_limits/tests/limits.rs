//! One limit: its rate, its keys, and how many of them it keeps.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::limit::{KEYS, Limit, RateLimited};
use super::super::network::Network;
use super::super::{MonotonicClock, Rate, RateLimitConfig, RateLimits};
use super::{Hand, Scene};
use crate::domain::caller::{Caller, ValidFromRange};
use crate::domain::policy::DraftVisibility;
use crate::domain::user::UserId;

/// Ten at once, and then one every six seconds.
const TEN_A_MINUTE: Rate = Rate::new(10, Duration::from_mins(1));

fn limit(rate: Option<Rate>) -> (Arc<Hand>, Limit<u32>) {
    let hand = Arc::new(Hand::default());
    let stopwatch: Arc<dyn MonotonicClock> = hand.clone();
    (hand, Limit::new("a limit", rate, &stopwatch))
}

fn refused(seconds: u64) -> Result<(), RateLimited> {
    let wait = Duration::from_secs(seconds);
    Err(RateLimited { limit: "a limit", rate: TEN_A_MINUTE, wait })
}

#[test]
fn so_many_at_once_and_then_one_by_one() {
    let (hand, limit) = limit(Some(TEN_A_MINUTE));
    for _ in 0..10 {
        assert_eq!(limit.take(1), Ok(()));
    }
    assert_eq!(limit.take(1), refused(6));
    assert_eq!(limit.take(2), Ok(()), "another key has its own");
    hand.advance(5);
    assert_eq!(limit.take(1), refused(1));
    hand.advance(1);
    assert_eq!(limit.take(1), Ok(()));
    assert_eq!(limit.take(1), refused(6));
    hand.advance(60);
    for _ in 0..10 {
        assert_eq!(limit.take(1), Ok(()));
    }
    assert_eq!(limit.take(1), refused(6), "no more than at the start");
    hand.advance(10_000_000);
    for _ in 0..10 {
        assert_eq!(limit.take(1), Ok(()));
    }
    assert_eq!(limit.take(1), refused(6), "however long nothing was taken");
}

#[test]
fn who_only_looks_takes_nothing() {
    let (hand, limit) = limit(Some(TEN_A_MINUTE));
    for _ in 0..100 {
        assert_eq!(limit.look(&1), Ok(()));
    }
    assert_eq!(limit.len(), 0);
    // Twelve have looked, and each takes one.
    for _ in 0..12 {
        limit.charge(1);
    }
    assert_eq!(limit.look(&1), refused(18));
    assert_eq!(limit.take(1), refused(18));
    hand.advance(18);
    assert_eq!(limit.look(&1), Ok(()));
    limit.charge(1);
    assert_eq!(limit.look(&1), refused(6));
    limit.forget(&1);
    assert_eq!(limit.look(&1), Ok(()));
}

#[test]
fn without_a_rate_everything_goes() {
    let (_, limit) = limit(None);
    for _ in 0..1000 {
        limit.charge(1);
        assert_eq!((limit.take(1), limit.look(&1)), (Ok(()), Ok(())));
    }
    assert_eq!(limit.len(), 0);
}

#[test]
fn several_threads_take_no_more_than_there_is() {
    let (_, limit) = limit(Some(Rate::new(1000, Duration::from_hours(24))));
    let taken = || (0..1000).filter(|_| limit.take(1).is_ok()).count();
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(taken)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1000);
}

/// A million clients are not remembered, and whoever goes on is.
#[test]
fn a_million_keys_fit_into_bounded_memory() {
    let (_, limit) = limit(Some(TEN_A_MINUTE));
    for key in 0..1_000_000 {
        assert_eq!(limit.take(key), Ok(()));
    }
    assert!(limit.len() <= KEYS, "{}", limit.len());
    assert!(limit.len() > KEYS / 2, "{}", limit.len());
}

fn network(address: &str) -> Network {
    Network::of(Some(address.parse::<IpAddr>().unwrap()))
}

#[test]
fn a_client_is_an_address_or_a_network_of_64_bits() {
    assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    assert_ne!(network("203.0.113.1"), network("203.0.113.2"));
    assert_eq!(network("::ffff:203.0.113.1"), network("203.0.113.1"));
    assert_ne!(network("::ffff:203.0.113.1"), network("::ffff:203.0.113.2"));
    assert_eq!(Network::of(None), Network::of(None));
}

#[test]
fn callers_and_clients_have_limits_of_their_own() {
    let rates = RateLimitConfig {
        sign_up: Some(Rate::new(2, Duration::from_secs(2))),
        writes: Some(Rate::new(3, Duration::from_secs(3))),
        ..RateLimitConfig::default()
    };
    let scene = Scene::new(&rates);
    let sign_up = |address: &str| scene.limits.sign_up(Some(address.parse().unwrap()));
    let refused = |limit, rate: Option<Rate>| {
        Err(RateLimited { limit, rate: rate.unwrap(), wait: Duration::from_secs(1) })
    };
    assert_eq!((sign_up("::1"), sign_up("::2")), (Ok(()), Ok(())));
    assert_eq!(sign_up("::3"), refused("sign-up", rates.sign_up));
    assert_eq!(sign_up("127.0.0.1"), Ok(()));
    for _ in 0..3 {
        assert_eq!(scene.limits.write(caller(1)), Ok(()));
    }
    assert_eq!(scene.limits.write(caller(1)), refused("writes", rates.writes));
    assert_eq!(scene.limits.write(caller(2)), Ok(()));
    for _ in 0..10_000 {
        assert_eq!(RateLimits::off().write(caller(1)), Ok(()));
        assert_eq!(RateLimits::off().sign_up(None), Ok(()));
    }
}

fn caller(user: i64) -> Caller {
    Caller {
        user_id: UserId(user),
        drafts: DraftVisibility::Private,
        valid_from_range: ValidFromRange::default(),
    }
}
