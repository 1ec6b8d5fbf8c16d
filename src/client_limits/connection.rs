//! An open connection: what it uses, and until when it may stay open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ClientLimits;
use super::budget::Budget;
use super::network::Network;

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionTimeouts {
    /// Maximum time from the start of a connection to the end of its first request head, and on
    /// HTTP/1.1 from the first byte of a later head to its end.
    pub head: Duration,
    /// Maximum time without a request in progress.
    pub keep_alive: Duration,
    /// Maximum time from the head of a request to the last byte of its response. It does not run
    /// while a stream waits for the service.
    pub response: Duration,
    /// Time from the start of a connection in which a shutdown waits for its first request head.
    /// The client could not know of the shutdown, and may have sent the request.
    pub first_head_at_shutdown: Duration,
}

impl ConnectionTimeouts {
    /// Returns the shortest of the time limits while the service runs.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        self.head.min(self.keep_alive).min(self.response)
    }
}

/// An open connection. It counts until it is closed and its last response is released.
#[derive(Debug)]
pub struct Connection {
    limits: ClientLimits,
    /// `None` for a trusted proxy, which carries many clients.
    pub(super) network: Option<Network>,
    /// The size of the connection itself.
    bytes: usize,
    /// The memory of its requests.
    pub(super) memory: Budget,
    activity: Mutex<Activity>,
    ends_after_response: AtomicBool,
}

#[derive(Debug)]
struct Activity {
    /// The requests in progress, in no order.
    requests: Vec<InProgress>,
    has_served: bool,
    is_http_2: bool,
    /// When the connection was opened, or its last request ended.
    idle_since: Instant,
    /// When the first byte of the pending head arrived.
    head_since: Option<Instant>,
}

#[derive(Debug)]
struct InProgress {
    began: Instant,
    /// Since when its time limit runs. `None` while it does not run.
    timed_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        limits: ClientLimits,
        network: Option<Network>,
        bytes: usize,
        memory: usize,
    ) -> Self {
        let activity = Activity {
            requests: Vec::new(),
            has_served: false,
            is_http_2: false,
            idle_since: Instant::now(),
            head_since: None,
        };
        let (memory, activity) = (Budget::new(memory), Mutex::new(activity));
        let ends_after_response = AtomicBool::new(false);
        Self { limits, network, bytes, memory, activity, ends_after_response }
    }

    /// Returns whether the peer is a client, not a trusted proxy.
    #[must_use]
    pub fn has_network(&self) -> bool {
        self.network.is_some()
    }

    /// Begins the time of the first head. A TLS handshake before it has its own time limit.
    pub fn restart(&self) {
        let mut activity = self.activity();
        (activity.idle_since, activity.head_since) = (Instant::now(), None);
    }

    /// Notes that bytes have arrived. Without a request in progress they begin a head.
    pub fn bytes_arrived(&self) {
        let mut activity = self.activity();
        if activity.requests.is_empty() && activity.head_since.is_none() {
            activity.head_since = Some(Instant::now());
        }
    }

    /// Returns whether closing the connection interrupts no request. On HTTP/2 the client may have
    /// sent one that has not arrived, so it must be told first which ones are processed.
    #[must_use]
    pub fn can_close_at_once(&self) -> bool {
        let activity = self.activity();
        activity.requests.is_empty() && !activity.is_http_2
    }

    /// Returns until when a shutdown waits for the first request head: a past time if there was one.
    #[must_use]
    pub fn first_head_until(&self, timeouts: &ConnectionTimeouts) -> Instant {
        let activity = self.activity();
        let is_new = !activity.has_served;
        activity.idle_since + if is_new { timeouts.first_head_at_shutdown } else { Duration::ZERO }
    }

    /// Makes the next response the last one over HTTP/1.1.
    pub fn end_after_response(&self) {
        self.ends_after_response.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn ends_after_response(&self) -> bool {
        self.ends_after_response.load(Ordering::Relaxed)
    }

    /// Returns when the connection must be closed, unless something happens on it before.
    #[must_use]
    pub fn deadline(&self, timeouts: &ConnectionTimeouts) -> Instant {
        let activity = self.activity();
        let oldest = activity.requests.iter().filter_map(|request| request.timed_since).min();
        match (oldest, activity.head_since) {
            (Some(oldest), _) => oldest + timeouts.response,
            // It is renewed until the time limit runs again.
            (None, _) if !activity.requests.is_empty() => Instant::now() + timeouts.response,
            (None, _) if !activity.has_served => activity.idle_since + timeouts.head,
            // Between requests, HTTP/2 clients send control frames.
            (None, Some(since)) if !activity.is_http_2 => since + timeouts.head,
            (None, _) => activity.idle_since + timeouts.keep_alive,
        }
    }

    /// Returns whether the size of the connection includes this request: over HTTP/1.1 a connection
    /// holds a pending head or a request.
    pub(super) fn begin_request(&self, is_http_2: bool, began: Instant) -> bool {
        let mut activity = self.activity();
        (activity.has_served, activity.is_http_2, activity.head_since) = (true, is_http_2, None);
        activity.requests.push(InProgress { began, timed_since: Some(began) });
        !is_http_2 && activity.requests.len() == 1
    }

    pub(super) fn end_request(&self, began: Instant) {
        let mut activity = self.activity();
        let mut requests = activity.requests.iter();
        if let Some(index) = requests.position(|request| request.began == began) {
            activity.requests.swap_remove(index);
        }
        if activity.requests.is_empty() {
            activity.idle_since = Instant::now();
        }
    }

    /// Stops the time limit of the response, or starts it from the beginning.
    pub(super) fn time_request(&self, began: Instant, is_timed: bool) {
        let mut activity = self.activity();
        let mut requests = activity.requests.iter_mut();
        if let Some(request) = requests.find(|request| request.began == began) {
            request.timed_since = is_timed.then(Instant::now);
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let shared = &self.limits.shared;
        shared.connections.resize(1, 0);
        shared.memory.resize(self.bytes, 0);
        if let Some(network) = &self.network {
            network.usage.connections.resize(1, 0);
            network.usage.memory.resize(self.bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
        head: Duration::from_secs(15),
        keep_alive: Duration::from_secs(75),
        response: Duration::from_mins(3),
        first_head_at_shutdown: Duration::from_secs(1),
    };

    fn open() -> Arc<Connection> {
        ClientLimits::default().connect(None, false).unwrap()
    }

    fn left(connection: &Connection) -> u64 {
        (connection.deadline(&TIMEOUTS) - Instant::now()).as_secs()
    }

    async fn wait(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn first_head_has_one_time_limit_although_bytes_arrive() {
        let connection = open();
        wait(5).await;
        connection.bytes_arrived();
        assert_eq!(left(&connection), 10);
        connection.restart();
        assert_eq!(left(&connection), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_the_first_head_of_a_new_connection() {
        let connection = open();
        let opened = Instant::now();
        wait(5).await;
        let until = opened + TIMEOUTS.first_head_at_shutdown;
        assert_eq!(connection.first_head_until(&TIMEOUTS), until);
        connection.begin_request(false, Instant::now());
        assert_eq!(connection.first_head_until(&TIMEOUTS), opened);
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_response_decides_while_requests_are_in_progress() {
        let connection = open();
        let first = Instant::now();
        connection.begin_request(true, first);
        wait(10).await;
        let second = Instant::now();
        connection.begin_request(true, second);
        assert_eq!(left(&connection), 170);
        connection.end_request(first);
        assert_eq!(left(&connection), 180);
        connection.end_request(second);
        assert_eq!(left(&connection), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn time_limit_of_a_stream_runs_only_while_its_client_has_something_to_read() {
        let connection = open();
        let began = Instant::now();
        connection.begin_request(false, began);
        wait(10).await;
        connection.time_request(began, false);
        for _ in 0..3 {
            wait(170).await;
            assert_eq!(left(&connection), 180);
        }
        connection.time_request(began, true);
        wait(100).await;
        assert_eq!(left(&connection), 80);
        connection.time_request(began, true);
        assert_eq!(left(&connection), 180);
        // Another request over HTTP/2 has its own time.
        let other = Instant::now();
        connection.begin_request(true, other);
        connection.time_request(began, false);
        wait(20).await;
        assert_eq!(left(&connection), 160);
        connection.end_request(other);
        connection.end_request(began);
        assert_eq!(left(&connection), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn later_head_is_short_on_http_1_and_control_frames_change_nothing_on_http_2() {
        for (is_http_2, expected) in [(false, 15), (true, 35)] {
            let connection = open();
            connection.begin_request(is_http_2, Instant::now());
            connection.end_request(Instant::now());
            wait(40).await;
            connection.bytes_arrived();
            assert_eq!(left(&connection), expected, "HTTP/2: {is_http_2}");
        }
    }
}
