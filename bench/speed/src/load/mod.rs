//! The load generator: many connections on one thread, each with one request in flight.
//!
//! In a closed loop the next request follows the response. In an open loop requests are due at a
//! constant rate, whether or not earlier ones are answered. Their latency counts from when they
//! were due, so that a server that pauses does not look fast ("coordinated omission", Gil Tene).
//!
//! The generator checks the status of each response and every 64th body. A wrong response or a
//! broken connection counts as an error; the generator reopens the connection and continues.

mod connection;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token, Waker};

use self::connection::{Connection, Received};

/// One body in this many is checked.
const BODY_CHECK_INTERVAL: u64 = 64;

/// How often an open loop looks for requests that are due.
const TICK: Duration = Duration::from_micros(250);

/// How long requests in flight may take at the end. Slower ones count as errors.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

const WAKER: Token = Token(usize::MAX);

/// Writes requests and checks their responses.
pub trait Traffic {
    /// Appends the next request.
    fn write_request(&mut self, request: &mut Vec<u8>);

    fn is_expected_status(&self, status: u16) -> bool;

    /// Checks the body of a response with this status.
    fn is_expected_body(&self, status: u16, body: &[u8]) -> bool;
}

#[derive(Debug, Clone, Copy)]
pub enum Pace {
    ClosedLoop,
    /// Requests per second.
    OpenLoop(f64),
}

/// The result of one load.
pub struct Outcome {
    pub responses: u64,
    pub errors: u64,
    /// Responses per second.
    pub per_second: f64,
    /// In microseconds.
    pub latencies: Histogram<u64>,
}

impl Outcome {
    /// Returns the latency that this share of the requests does not exceed, in microseconds.
    pub fn quantile(&self, share: f64) -> u64 {
        self.latencies.value_at_quantile(share)
    }
}

/// Loads the server for the given time.
///
/// # Errors
/// If the server cannot be reached, at the start or to reopen a connection.
pub fn run(
    address: SocketAddr,
    connections: usize,
    pace: Pace,
    time: Duration,
    traffic: &mut dyn Traffic,
) -> Result<Outcome> {
    Load::open(address, connections, pace, traffic)?.run_for(time)
}

struct Load<'a> {
    address: SocketAddr,
    poll: Poll,
    connections: Vec<Connection>,
    /// Indexes of the connections without a request in flight.
    idle: Vec<usize>,
    pace: Pace,
    traffic: &'a mut dyn Traffic,
    start: Instant,
    /// Whether the load only waits for requests in flight and starts no others.
    is_draining: bool,
    started: u64,
    responses: u64,
    errors: u64,
    latencies: Histogram<u64>,
}

impl<'a> Load<'a> {
    fn open(
        address: SocketAddr,
        connections: usize,
        pace: Pace,
        traffic: &'a mut dyn Traffic,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let open = |index| Connection::open(address, poll.registry(), Token(index));
        let connections = (0..connections).map(open).collect::<Result<Vec<_>>>();
        let connections =
            connections.with_context(|| format!("could not connect to the server {address}"))?;
        Ok(Self {
            address,
            idle: (0..connections.len()).rev().collect(),
            poll,
            connections,
            pace,
            traffic,
            start: Instant::now(),
            is_draining: false,
            started: 0,
            responses: 0,
            errors: 0,
            // One minute at most, with three significant digits.
            latencies: Histogram::new_with_max(60_000_000, 3)?,
        })
    }

    fn run_for(mut self, time: Duration) -> Result<Outcome> {
        let ticker = match self.pace {
            Pace::ClosedLoop => None,
            Pace::OpenLoop(_) => Some(Ticker::start(Waker::new(self.poll.registry(), WAKER)?)),
        };
        let mut events = Events::with_capacity(1024);
        self.start = Instant::now();
        let end = self.start + time;
        while !self.is_over(end) {
            self.start_due_requests()?;
            self.poll.poll(&mut events, Some(Duration::from_millis(10)))?;
            self.handle_events(&events)?;
        }
        let elapsed = self.start.elapsed();
        let responses = self.responses;
        drop(ticker);
        self.drain(&mut events)?;
        Ok(Outcome {
            responses,
            errors: self.errors,
            per_second: to_f64(responses) / elapsed.as_secs_f64(),
            latencies: self.latencies,
        })
    }

    /// A load lasts until its first response at least, so that a short one succeeds on a slow machine.
    fn is_over(&self, end: Instant) -> bool {
        let end = if self.responses + self.errors > 0 { end } else { end + DRAIN_TIMEOUT };
        Instant::now() >= end
    }

    fn start_due_requests(&mut self) -> Result<()> {
        while !self.is_draining
            && let Some(&index) = self.idle.last()
        {
            let due = match self.pace {
                Pace::ClosedLoop => Instant::now(),
                Pace::OpenLoop(rate) => {
                    let due = self.start + Duration::from_secs_f64(to_f64(self.started) / rate);
                    if due > Instant::now() {
                        break;
                    }
                    due
                }
            };
            self.idle.pop();
            self.started += 1;
            self.start_request(index, due)?;
        }
        Ok(())
    }

    fn start_request(&mut self, index: usize, due: Instant) -> Result<()> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        connection.request.clear();
        self.traffic.write_request(&mut connection.request);
        if connection.start_request(due).is_err() {
            self.replace_broken(index)?;
        }
        Ok(())
    }

    fn handle_events(&mut self, events: &Events) -> Result<()> {
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let index = event.token().0;
            let Some(connection) = self.connections.get_mut(index) else { continue };
            let sent = if event.is_writable() { connection.send() } else { Ok(()) };
            if sent.is_err() {
                self.replace_broken(index)?;
            } else if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.receive(index)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        let due = connection.due;
        let checks_body = self.responses.is_multiple_of(BODY_CHECK_INTERVAL);
        let (mut is_expected, traffic) = (true, &self.traffic);
        let received = connection.receive(|response| {
            let status = response.status;
            let is_expected_body =
                |body: Vec<u8>| traffic.is_expected_body(status, body.as_slice());
            is_expected = traffic.is_expected_status(status)
                && (!checks_body || response.body.to_vec().is_ok_and(is_expected_body));
        });
        match received {
            Ok(Received { is_complete: false, .. }) => return Ok(()),
            Ok(Received { can_be_reused, .. }) => {
                self.record(due, is_expected);
                if !can_be_reused {
                    self.reopen(index)?;
                }
                self.idle.push(index);
            }
            Err(_) => self.replace_broken(index)?,
        }
        // At once, while the connection is still in the processor's cache.
        self.start_due_requests()
    }

    fn record(&mut self, due: Option<Instant>, is_expected: bool) {
        if !is_expected {
            self.errors += 1;
            return;
        }
        self.responses += 1;
        if let Some(due) = due {
            let latency = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.latencies.saturating_record(latency.max(1));
        }
    }

    fn replace_broken(&mut self, index: usize) -> Result<()> {
        self.errors += 1;
        self.reopen(index)?;
        self.idle.push(index);
        Ok(())
    }

    fn reopen(&mut self, index: usize) -> Result<()> {
        let connection = Connection::open(self.address, self.poll.registry(), Token(index));
        let connection =
            connection.with_context(|| format!("could not reconnect to {}", self.address))?;
        if let Some(old) = self.connections.get_mut(index) {
            *old = connection;
        }
        Ok(())
    }

    /// Waits for the requests in flight, so that they do not burden the next measurement.
    fn drain(&mut self, events: &mut Events) -> Result<()> {
        let end = Instant::now() + DRAIN_TIMEOUT;
        self.is_draining = true;
        let is_busy = |connection: &&Connection| connection.due.is_some();
        while self.connections.iter().any(|connection| is_busy(&connection)) {
            if Instant::now() > end {
                self.errors += u64::try_from(self.connections.iter().filter(is_busy).count())?;
                break;
            }
            self.poll.poll(events, Some(Duration::from_millis(10)))?;
            self.handle_events(events)?;
        }
        Ok(())
    }
}

/// Wakes the load every [`TICK`]: the timeout of `poll` has a resolution of one millisecond.
struct Ticker(Arc<AtomicBool>);

impl Ticker {
    fn start(waker: Waker) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let is_stopped_in_thread = Arc::clone(&is_stopped);
        std::thread::spawn(move || {
            while !is_stopped_in_thread.load(Ordering::Relaxed) && waker.wake().is_ok() {
                std::thread::sleep(TICK);
            }
        });
        Self(is_stopped)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}
