//! One limit: its rate, its keys, and how many keys it stores.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::limit::{KEYS, Limit, LimitKey, RateLimited};
use super::super::network::Network;
use super::super::{MonotonicClock, Rate, RateLimitConfig, RateLimits};
use super::{Fixture, ManualClock};
use crate::domain::user::UserId;

/// Allows a burst of ten, and then one every six seconds.
const TEN_A_MINUTE: Rate = Rate::new(10, Duration::from_mins(1));

impl LimitKey for u32 {}

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
        limit.charge(1, 1);
    }
    assert_eq!(limit.peek(&1), limited(18));
    assert_eq!(limit.try_acquire(1), limited(18));
    clock.advance(18);
    assert_eq!(limit.peek(&1), Ok(()));
    limit.charge(1, 1);
    assert_eq!(limit.peek(&1), limited(6));
    limit.reset(&1);
    assert_eq!(limit.peek(&1), Ok(()));
}

#[test]
fn limit_without_rate_allows_all() {
    let (_, limit) = limit(None);
    for _ in 0..1000 {
        limit.charge(1, 1);
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

/// A translator or a tunnel puts strangers into one /64, or one client into many.
#[test]
fn translated_address_is_that_of_its_ipv4_client() {
    for (address, client) in [
        ("64:ff9b::198.51.100.7", "198.51.100.7"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
        ("2001:0:1:2:3:4:39cc:9bf8", "198.51.100.7"),
        ("2002:c633:6407::1", "198.51.100.7"),
        ("2002:c633:6407:1234:5:6:7:8", "198.51.100.7"),
    ] {
        assert_eq!(network(address), network(client), "{address}");
        assert_eq!(network(address).with_wider().count(), 1);
    }
    for address in ["64:ff9b:1::198.51.100.7", "64:ff9b::1:0:0", "2001:1::1", "2003::1"] {
        assert_ne!(network(address), network("198.51.100.7"), "{address}");
        assert_eq!(network(address).with_wider().count(), 3);
    }
}

#[test]
fn wider_networks_have_more_of_the_rate() {
    let multiples = |address| -> Vec<u32> {
        network(address).with_wider().map(Network::rate_multiple).collect()
    };
    assert_eq!(multiples("203.0.113.1"), [1]);
    assert_eq!(multiples("2001:db8:1:203::1"), [1, 2, 4]);
    let shared = |one, other| {
        let mut pairs = network(one).with_wider().zip(network(other).with_wider());
        pairs.by_ref().map(|(one, other)| one == other).collect::<Vec<_>>()
    };
    assert_eq!(shared("2001:db8:1:203::1", "2001:db8:1:2ff::1"), [false, true, true]);
    assert_eq!(shared("2001:db8:1:203::1", "2001:db8:1:303::1"), [false, false, true]);
    assert_eq!(shared("2001:db8:1:203::1", "2001:db8:2:203::1"), [false, false, false]);
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
    let write = |account| {
        let checked = fixture.limits.check_write(UserId(account));
        checked.inspect(|()| fixture.limits.count_write(UserId(account), 0))
    };
    assert_eq!((sign_up("::1"), sign_up("::2")), (Ok(()), Ok(())));
    assert_eq!(sign_up("::3"), limited("sign-up", rates.sign_up));
    assert_eq!(sign_up("127.0.0.1"), Ok(()));
    for _ in 0..3 {
        assert_eq!(write(1), Ok(()));
    }
    assert_eq!(write(1), limited("writes", rates.writes));
    assert_eq!(write(2), Ok(()));
    for _ in 0..10_000 {
        RateLimits::off().count_write(UserId(1), 1 << 30);
        assert_eq!(RateLimits::off().check_write(UserId(1)), Ok(()));
        assert_eq!(RateLimits::off().sign_up(None), Ok(()));
    }
}

/// A large post costs as much as many small ones.
#[test]
fn write_counts_once_for_each_started_64_kib() {
    for (bytes, expected) in [
        (0, 1),
        (1, 1),
        (64 * 1024, 1),
        (64 * 1024 + 1, 2),
        (2 * 1024 * 1024, 32),
        (usize::MAX, u32::MAX),
    ] {
        let fixture = Fixture::new(&RateLimitConfig {
            writes: Some(Rate::new(1, Duration::from_secs(1))),
            ..RateLimitConfig::default()
        });
        fixture.limits.count_write(UserId(1), bytes);
        let wait = fixture.limits.check_write(UserId(1)).unwrap_err().wait;
        assert_eq!(wait, Duration::from_secs(expected.into()), "{bytes}");
    }
}

#[test]
fn refunded_sign_up_is_not_counted() {
    let rates = RateLimitConfig {
        sign_up: Some(Rate::new(2, Duration::from_hours(1))),
        ..RateLimitConfig::default()
    };
    let fixture = Fixture::new(&rates);
    for client in ["203.0.113.1", "2001:db8::1"].map(|client| Some(client.parse().unwrap())) {
        for _ in 0..10 {
            assert_eq!(fixture.limits.sign_up(client), Ok(()));
            fixture.limits.refund_sign_up(client);
        }
        fixture.limits.refund_sign_up(client);
        for _ in 0..2 {
            assert_eq!(fixture.limits.sign_up(client), Ok(()));
        }
        assert!(fixture.limits.sign_up(client).is_err());
    }
    // A sign-up that the /64 network rejects uses up nothing of the wider ones.
    for _ in 0..10 {
        assert!(fixture.limits.sign_up(Some("2001:db8::1".parse().unwrap())).is_err());
    }
    for number in 1..=2 {
        let neighbour = format!("2001:db8:0:{number}::1").parse().unwrap();
        assert_eq!(fixture.limits.sign_up(Some(neighbour)), Ok(()));
    }
}
