//! One limit: its rate, its keys, and how many keys it stores.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::limit::{KEYS, Limit, RateLimited};
use super::super::network::Network;
use super::super::{MonotonicClock, Rate, RateLimitConfig, RateLimits};
use super::{Fixture, ManualClock};
use crate::domain::caller::{Caller, ValidFromRange};
use crate::domain::policy::DraftVisibility;
use crate::domain::user::UserId;

/// Allows a burst of ten, and then one every six seconds.
const TEN_A_MINUTE: Rate = Rate::new(10, Duration::from_mins(1));

fn limit(rate: Option<Rate>) -> (Arc<ManualClock>, Limit<u32>) {
    let clock = Arc::new(ManualClock::default());
    let monotonic_clock: Arc<dyn MonotonicClock> = clock.clone();
    (clock, Limit::new("a limit", rate, &monotonic_clock))
}

fn limited(seconds: u64) -> Result<(), RateLimited> {
    let wait = Duration::from_secs(seconds);
    Err(RateLimited { limit: "a limit", rate: TEN_A_MINUTE, wait })
}

#[test]
fn burst_is_allowed_then_one_per_interval() {
    let (clock, limit) = limit(Some(TEN_A_MINUTE));
    for _ in 0..10 {
        assert_eq!(limit.try_acquire(1), Ok(()));
    }
    assert_eq!(limit.try_acquire(1), limited(6));
    assert_eq!(limit.try_acquire(2), Ok(()), "another key has its own limit");
    clock.advance(5);
    assert_eq!(limit.try_acquire(1), limited(1));
    clock.advance(1);
    assert_eq!(limit.try_acquire(1), Ok(()));
    assert_eq!(limit.try_acquire(1), limited(6));
    clock.advance(60);
    for _ in 0..10 {
        assert_eq!(limit.try_acquire(1), Ok(()));
    }
    assert_eq!(limit.try_acquire(1), limited(6), "no more than at the start");
    clock.advance(10_000_000);
    for _ in 0..10 {
        assert_eq!(limit.try_acquire(1), Ok(()));
    }
    assert_eq!(limit.try_acquire(1), limited(6), "after any time without use");
}

#[test]
fn peek_takes_nothing() {
    let (clock, limit) = limit(Some(TEN_A_MINUTE));
    for _ in 0..100 {
        assert_eq!(limit.peek(&1), Ok(()));
    }
    assert_eq!(limit.len(), 0);
    // All of these callers have peeked before the first one charges.
    for _ in 0..12 {
        limit.charge(1);
    }
    assert_eq!(limit.peek(&1), limited(18));
    assert_eq!(limit.try_acquire(1), limited(18));
    clock.advance(18);
    assert_eq!(limit.peek(&1), Ok(()));
    limit.charge(1);
    assert_eq!(limit.peek(&1), limited(6));
    limit.reset(&1);
    assert_eq!(limit.peek(&1), Ok(()));
}

#[test]
fn limit_without_rate_allows_all() {
    let (_, limit) = limit(None);
    for _ in 0..1000 {
        limit.charge(1);
        assert_eq!((limit.try_acquire(1), limit.peek(&1)), (Ok(()), Ok(())));
    }
    assert_eq!(limit.len(), 0);
}

#[test]
fn concurrent_threads_stay_within_the_limit() {
    let (_, limit) = limit(Some(Rate::new(1000, Duration::from_hours(24))));
    let acquire = || (0..1000).filter(|_| limit.try_acquire(1).is_ok()).count();
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(acquire)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1000);
}

#[test]
fn number_of_keys_is_bounded() {
    let (_, limit) = limit(Some(TEN_A_MINUTE));
    for key in 0..1_000_000 {
        assert_eq!(limit.try_acquire(key), Ok(()));
    }
    assert!(limit.len() <= KEYS, "{}", limit.len());
    assert!(limit.len() > KEYS / 2, "{}", limit.len());
}

fn network(address: &str) -> Network {
    Network::of(Some(address.parse::<IpAddr>().unwrap()))
}

#[test]
fn network_is_an_ipv4_address_or_an_ipv6_prefix() {
    assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    assert_ne!(network("203.0.113.1"), network("203.0.113.2"));
    assert_eq!(network("::ffff:203.0.113.1"), network("203.0.113.1"));
    assert_ne!(network("::ffff:203.0.113.1"), network("::ffff:203.0.113.2"));
    assert_eq!(Network::of(None), Network::of(None));
}

#[test]
fn each_client_and_caller_has_its_own_limit() {
    let rates = RateLimitConfig {
        sign_up: Some(Rate::new(2, Duration::from_secs(2))),
        writes: Some(Rate::new(3, Duration::from_secs(3))),
        ..RateLimitConfig::default()
    };
    let fixture = Fixture::new(&rates);
    let sign_up = |address: &str| fixture.limits.sign_up(Some(address.parse().unwrap()));
    let limited = |limit, rate: Option<Rate>| {
        Err(RateLimited { limit, rate: rate.unwrap(), wait: Duration::from_secs(1) })
    };
    assert_eq!((sign_up("::1"), sign_up("::2")), (Ok(()), Ok(())));
    assert_eq!(sign_up("::3"), limited("sign-up", rates.sign_up));
    assert_eq!(sign_up("127.0.0.1"), Ok(()));
    for _ in 0..3 {
        assert_eq!(fixture.limits.write(caller(1)), Ok(()));
    }
    assert_eq!(fixture.limits.write(caller(1)), limited("writes", rates.writes));
    assert_eq!(fixture.limits.write(caller(2)), Ok(()));
    for _ in 0..10_000 {
        assert_eq!(RateLimits::off().write(caller(1)), Ok(()));
        assert_eq!(RateLimits::off().sign_up(None), Ok(()));
    }
}

fn caller(user: i64) -> Caller {
    Caller {
        user_id: UserId(user),
        draft_visibility: DraftVisibility::Private,
        valid_from_range: ValidFromRange::default(),
    }
}
