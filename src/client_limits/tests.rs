//! Tests of the limits of the process, of a network and of a connection together.

use super::*;

const KIB: usize = 1024;

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Returns how many connections of these clients fit, one after the other.
fn connect_all(limits: &ClientLimits, client: Option<IpAddr>) -> Vec<Arc<Connection>> {
    std::iter::from_fn(|| limits.connect(client, false).ok()).take(1000).collect()
}

#[test]
fn connections_of_a_network_end_at_its_share_and_leave_the_rest() {
    let limits = ClientLimits::new(1024 * 1024 * KIB, 64);
    let of_one = connect_all(&limits, Some(ip("192.0.2.1")));
    assert_eq!(of_one.len(), 8);
    assert_eq!(connect_all(&limits, Some(ip("192.0.2.2"))).len(), 8);
    assert_eq!(connect_all(&limits, None).len(), 56, "a trusted proxy has no share");
    drop(of_one);
    assert_eq!(connect_all(&limits, Some(ip("192.0.2.1"))).len(), 8);
}

#[test]
fn connection_that_is_refused_counts_nowhere() {
    let limits = ClientLimits::new(1024 * 1024 * KIB, 16);
    let held = connect_all(&limits, Some(ip("192.0.2.1")));
    assert_eq!((held.len(), connect_all(&limits, None).len()), (2, 14));
    let limits = ClientLimits::new(16 * CONNECTION_BYTES, 1024);
    let held = connect_all(&limits, Some(ip("192.0.2.1")));
    assert_eq!((held.len(), connect_all(&limits, None).len()), (2, 14));
}

#[test]
fn unread_requests_end_at_the_share_of_the_connection_and_of_the_network() {
    let limits = ClientLimits::new(128 * 1024 * KIB, 64);
    let begin = |connection: &Arc<Connection>| {
        limits.begin(Some((connection, true)), Instant::now(), None, [30 * KIB, 0])
    };
    let fill = |connection| std::iter::from_fn(|| begin(connection).ok()).collect::<Vec<_>>();
    let (first, second) = (
        limits.connect(Some(ip("192.0.2.1")), false).unwrap(),
        limits.connect(Some(ip("192.0.2.1")), false).unwrap(),
    );
    let of_first = fill(&first);
    assert_eq!(of_first.len(), 8 * 1024 / 38, "a sixteenth of the process");
    let of_second = fill(&second);
    assert_eq!(of_first.len() + of_second.len(), (16 * 1024 - 64) / 38, "an eighth");
    assert_eq!(begin(&second).unwrap_err(), LimitReached("memory of a network"));
    let other = limits.connect(Some(ip("192.0.2.2")), false).unwrap();
    begin(&other).unwrap();
    // Requests through a proxy count for the client that the proxy names.
    let proxy = limits.connect(None, false).unwrap();
    let through_proxy =
        |name| limits.begin(Some((&proxy, true)), Instant::now(), Some(ip(name)), [30 * KIB, 0]);
    through_proxy("192.0.2.1").unwrap_err();
    through_proxy("192.0.2.3").unwrap();
    drop(of_first);
    through_proxy("192.0.2.1").unwrap();
}

#[test]
fn body_and_response_count_one_after_the_other() {
    let limits = ClientLimits::new(400 * KIB, 8);
    let permit = limits.begin(None, Instant::now(), None, [0, 0]).unwrap();
    permit.add_body(100 * KIB).unwrap();
    permit.add_body(50 * KIB).unwrap();
    let other = limits.begin(None, Instant::now(), None, [0, 0]).unwrap();
    assert_eq!(other.set_response(200 * KIB), Err(LimitReached("memory of the process")));
    permit.set_response(10 * KIB).unwrap();
    other.set_response(200 * KIB).unwrap();
    drop((permit, other));
    assert!(limits.shared.memory.resize(0, 350 * KIB));
}

#[test]
fn connection_includes_one_small_request_over_http_1() {
    let limits = ClientLimits::new(400 * KIB, 8);
    let in_use = || limits.shared.memory.in_use();
    let connection = limits.connect(Some(ip("192.0.2.1")), false).unwrap();
    let begin = |is_http_2, forwarded| {
        limits.begin(Some((&connection, is_http_2)), Instant::now(), forwarded, [KIB, KIB]).unwrap()
    };
    let small = begin(false, None);
    assert!(!small.set_response(3 * KIB).unwrap());
    assert_eq!(in_use(), CONNECTION_BYTES);
    assert!(small.set_response(4 * KIB).unwrap());
    assert_eq!(in_use(), CONNECTION_BYTES + KIB, "the head and the response");
    let second = begin(false, None);
    assert_eq!(in_use(), CONNECTION_BYTES + KIB + REQUEST_BYTES);
    drop((small, second));
    assert_eq!(in_use(), CONNECTION_BYTES);
    for (is_http_2, forwarded) in [(true, None), (false, Some(ip("192.0.2.9")))] {
        let counted = begin(is_http_2, forwarded);
        assert!(counted.set_response(0).unwrap());
        assert_eq!(in_use(), CONNECTION_BYTES + REQUEST_BYTES, "HTTP/2: {is_http_2}");
    }
    drop(connection);
    assert_eq!(in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn turns_of_a_network_are_limited_and_wait() {
    let limits = ClientLimits::default();
    let begin = |name| limits.begin(None, Instant::now(), Some(ip(name)), [0, 0]).unwrap();
    let permits: Vec<_> = (0..=NETWORK_REQUESTS).map(|_| begin("192.0.2.1")).collect();
    let mut turns = Vec::new();
    for permit in &permits[1..] {
        turns.push(permit.turn().await.unwrap().unwrap());
    }
    let refused = permits[0].turn().await.unwrap_err();
    assert_eq!(refused, LimitReached("requests of a network"));
    let other = begin("192.0.2.2");
    assert!(other.turn().await.unwrap().is_some());
    let waiting = permits[0].turn();
    turns.pop();
    drop(waiting.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn reached_limit_is_logged_once_a_minute() {
    let limits = ClientLimits::default();
    let logged = || limits.shared.logged.lock().unwrap().get("a").copied();
    limits.reached("a", None);
    let first = logged();
    tokio::time::advance(LOG_PERIOD / 2).await;
    limits.reached("a", None);
    assert_eq!(logged(), first);
    tokio::time::advance(LOG_PERIOD / 2).await;
    limits.reached("a", None);
    assert_ne!(logged(), first);
}
