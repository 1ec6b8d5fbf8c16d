//! The load: many connections on one thread, each with one request at a time. In a closed loop the
//! next request follows the answer; in an open one requests come at a constant rate, whatever has
//! become of those before, and their times count from when they were due: a server that stops for
//! a while is not spared (Tene's "coordinated omission").
//!
//! Each answer's status is checked, and each 64th body. What is wrong, and each connection that
//! breaks, is counted as an error; the connection is made anew, and the others go on.

mod connection;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token, Waker};

use self::connection::Connection;

/// One of so many bodies is looked at.
const SAMPLE: u64 = 64;

/// How often requests of an open loop become due.
const TICK: Duration = Duration::from_micros(250);

/// Of what is still under way at the end; what takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(30);

const WAKER: Token = Token(usize::MAX);

/// What is asked, and what must come back.
pub trait Traffic {
    /// Writes the next request.
    fn write_request(&mut self, request: &mut Vec<u8>);

    fn is_right_status(&self, status: u16) -> bool;

    /// Of an answer with such a status.
    fn is_right_body(&self, status: u16, body: &[u8]) -> bool;
}

#[derive(Debug, Clone, Copy)]
pub enum Pace {
    Closed,
    /// Requests a second.
    Open(f64),
}

/// What came of it. Times are in microseconds.
pub struct Outcome {
    pub answers: u64,
    pub errors: u64,
    pub per_second: f64,
    pub times: Histogram<u64>,
}

impl Outcome {
    pub fn quantile(&self, share: f64) -> u64 {
        self.times.value_at_quantile(share)
    }
}

/// Puts the load on the server for the time.
///
/// # Errors
/// If it cannot be reached at the beginning, or once it had been lost.
pub fn run(
    address: SocketAddr,
    connections: usize,
    pace: Pace,
    time: Duration,
    traffic: &mut dyn Traffic,
) -> Result<Outcome> {
    Load::open(address, connections, pace, traffic)?.go_on_for(time)
}

struct Load<'a> {
    address: SocketAddr,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    pace: Pace,
    traffic: &'a mut dyn Traffic,
    began: Instant,
    /// Nothing is begun any more.
    is_over: bool,
    begun: u64,
    answers: u64,
    errors: u64,
    times: Histogram<u64>,
}

impl<'a> Load<'a> {
    fn open(
        address: SocketAddr,
        connections: usize,
        pace: Pace,
        traffic: &'a mut dyn Traffic,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let open = |number| Connection::open(address, poll.registry(), Token(number));
        let connections = (0..connections).map(open).collect::<Result<Vec<_>>>();
        let connections = connections.context("the server cannot be reached")?;
        Ok(Self {
            address,
            idle: (0..connections.len()).rev().collect(),
            poll,
            connections,
            pace,
            traffic,
            began: Instant::now(),
            is_over: false,
            begun: 0,
            answers: 0,
            errors: 0,
            // Up to a minute.
            times: Histogram::new_with_max(60_000_000, 3)?,
        })
    }

    fn go_on_for(mut self, time: Duration) -> Result<Outcome> {
        let ticker = match self.pace {
            Pace::Closed => None,
            Pace::Open(_) => Some(Ticker::start(Waker::new(self.poll.registry(), WAKER)?)),
        };
        let mut events = Events::with_capacity(1024);
        self.began = Instant::now();
        let end = self.began + time;
        while Instant::now() < end {
            self.begin_what_is_due()?;
            self.poll.poll(&mut events, Some(Duration::from_millis(10)))?;
            self.take_in(&events)?;
        }
        let elapsed = self.began.elapsed();
        let answers = self.answers;
        drop(ticker);
        self.wait_for_the_rest(&mut events)?;
        Ok(Outcome {
            answers,
            errors: self.errors,
            per_second: precise(answers) / elapsed.as_secs_f64(),
            times: self.times,
        })
    }

    fn begin_what_is_due(&mut self) -> Result<()> {
        while !self.is_over
            && let Some(&number) = self.idle.last()
        {
            let due = match self.pace {
                Pace::Closed => Instant::now(),
                Pace::Open(rate) => {
                    let due = self.began + Duration::from_secs_f64(precise(self.begun) / rate);
                    if due > Instant::now() {
                        break;
                    }
                    due
                }
            };
            self.idle.pop();
            self.begun += 1;
            self.begin(number, due)?;
        }
        Ok(())
    }

    fn begin(&mut self, number: usize, due: Instant) -> Result<()> {
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        connection.request.clear();
        self.traffic.write_request(&mut connection.request);
        if connection.begin(due).is_err() {
            self.replace(number)?;
        }
        Ok(())
    }

    fn take_in(&mut self, events: &Events) -> Result<()> {
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let number = event.token().0;
            let Some(connection) = self.connections.get_mut(number) else { continue };
            let sent = if event.is_writable() { connection.send() } else { Ok(()) };
            if sent.is_err() {
                self.replace(number)?;
            } else if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.receive(number)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) -> Result<()> {
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        let due = connection.due;
        let is_sampled = self.answers.is_multiple_of(SAMPLE);
        let (mut is_right, traffic) = (true, &self.traffic);
        let received = connection.receive(|answer| {
            let status = answer.status;
            is_right = traffic.is_right_status(status)
                && (!is_sampled
                    || answer.body.to_vec().is_ok_and(|body| traffic.is_right_body(status, &body)));
        });
        match received {
            Ok((false, _)) => return Ok(()),
            Ok((true, goes_on)) => {
                self.note(due, is_right);
                if !goes_on {
                    self.reopen(number)?;
                }
                self.idle.push(number);
            }
            Err(_) => self.replace(number)?,
        }
        // At once, as long as what was received is in the processor's mind.
        self.begin_what_is_due()
    }

    fn note(&mut self, due: Option<Instant>, is_right: bool) {
        if !is_right {
            self.errors += 1;
            return;
        }
        self.answers += 1;
        if let Some(due) = due {
            let time = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.times.saturating_record(time.max(1));
        }
    }

    /// For one that broke.
    fn replace(&mut self, number: usize) -> Result<()> {
        self.errors += 1;
        self.reopen(number)?;
        self.idle.push(number);
        Ok(())
    }

    fn reopen(&mut self, number: usize) -> Result<()> {
        let fresh = Connection::open(self.address, self.poll.registry(), Token(number));
        let fresh = fresh.context("the server was lost")?;
        if let Some(connection) = self.connections.get_mut(number) {
            *connection = fresh;
        }
        Ok(())
    }

    /// So that the next measurement does not begin with the end of this one.
    fn wait_for_the_rest(&mut self, events: &mut Events) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        self.is_over = true;
        while self.connections.iter().any(|connection| connection.due.is_some()) {
            if Instant::now() > end {
                let left = self.connections.iter().filter(|one| one.due.is_some()).count();
                self.errors += u64::try_from(left)?;
                break;
            }
            self.poll.poll(events, Some(Duration::from_millis(10)))?;
            self.take_in(events)?;
        }
        Ok(())
    }
}

/// Wakes the load in time for what is due: the poll itself counts in milliseconds.
struct Ticker(Arc<AtomicBool>);

impl Ticker {
    fn start(waker: Waker) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let same = Arc::clone(&is_over);
        std::thread::spawn(move || {
            while !same.load(Ordering::Relaxed) && waker.wake().is_ok() {
                std::thread::sleep(TICK);
            }
        });
        Self(is_over)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub fn precise(count: u64) -> f64 {
    count as f64
}
