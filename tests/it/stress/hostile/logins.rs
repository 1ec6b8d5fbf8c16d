//! Thousands of concurrent logins, each on its own connection and with the default hash cost. One
//! per core is computed, some wait in the queue, and the others get 503. If the
//! machine is too slow to read a request head in time, the service closes the connection, but only
//! after the timeout.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::MIB;
use super::open_files::raise_limit;
use super::process_watch::ProcessWatch;
use super::well_behaved::{WellBehavedClient, describe, login_request};
use crate::stress::budget::Budget;
use crate::support::{PASSWORD, Service};

/// The default of the service, as in RFC 9106.
const DEFAULT_COST: [(&str, &str); 3] =
    [("ARGON2_MEMORY_KIB", "65536"), ("ARGON2_ITERATIONS", "3"), ("ARGON2_PARALLELISM", "4")];

/// The memory of a hash.
const HASH_MEMORY: u64 = 64 * MIB;

/// Twice the memory of a connection with its request, in KiB.
const KIB_PER_CONNECTION: u64 = 64;

/// The timeout for a request head, minus a tolerance for the clocks of two processes.
const HEAD_TIME: Duration = Duration::from_secs(14);

/// Stands for the status if the connection closed without a response.
const CLOSED: u16 = 0;

/// Logins in flight.
#[derive(Default)]
struct Outstanding {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Outstanding {
    fn start(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.max.fetch_max(now, Ordering::SeqCst);
    }

    fn finish(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The durations of the responses, by their kind.
#[derive(Default)]
struct Times {
    accepted: Vec<Duration>,
    denied: Vec<Duration>,
    rejected: Vec<Duration>,
    closed: Vec<Duration>,
}

/// A login that has sent its request head but not its form.
struct Login {
    stream: TcpStream,
    form: String,
    status: u16,
    connecting: Instant,
}

impl Login {
    /// Sends the head of a login with the right password, a wrong one or an unknown e-mail, in
    /// turn.
    async fn start(address: SocketAddr, number: usize) -> Self {
        let (name, password, status) =
            [("client", PASSWORD, 200), ("client", "a wrong one", 403), ("unknown", PASSWORD, 403)]
                [number % 3];
        let request = login_request(name, password);
        let form = request.find("\r\n\r\n").unwrap() + 4;
        let connecting = Instant::now();
        let stream = TcpStream::connect(address).await.unwrap();
        write(&stream, &request[..form]).await;
        Self { stream, form: request[form..].to_owned(), status, connecting }
    }

    /// Sends the form and returns the status and its duration.
    async fn finish(self, outstanding: Arc<Outstanding>) -> (u16, Duration) {
        outstanding.start();
        let start = Instant::now();
        // If the connection is closed already, the read fails too.
        let _ = self.stream.try_write(self.form.as_bytes());
        let response = read_to_end(&self.stream).await;
        let time = start.elapsed();
        outstanding.finish();
        let status = response.get(9..12).unwrap_or_default().parse().unwrap_or(CLOSED);
        match status {
            503 => assert!(response.contains("\r\nretry-after: "), "{response}"),
            CLOSED => {
                assert!(self.connecting.elapsed() > HEAD_TIME, "closed too early: {response}");
            }
            _ => assert_eq!(status, self.status, "{response}"),
        }
        (status, time)
    }
}

/// Writes a text that is short enough for one write.
async fn write(stream: &TcpStream, text: &str) {
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(text.as_bytes()).unwrap(), text.len());
}

async fn read_to_end(stream: &TcpStream) -> String {
    let (mut response, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut piece) {
            Ok(0) => return String::from_utf8(response).unwrap(),
            Ok(length) => response.extend(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return String::new(),
        }
    }
}

/// All logins connect first, and then send their forms at the same moment.
async fn log_in_concurrently(
    address: SocketAddr,
    clients: usize,
    times: &mut Times,
    outstanding: &Arc<Outstanding>,
) {
    let started: Vec<_> =
        (0..clients).map(|number| tokio::spawn(Login::start(address, number))).collect();
    let mut logins = Vec::new();
    for login in started {
        logins.push(login.await.unwrap());
    }
    let ends: Vec<_> = logins
        .into_iter()
        .map(|login| tokio::spawn(login.finish(Arc::clone(outstanding))))
        .collect();
    for finish in ends {
        let (status, time) = finish.await.unwrap();
        match status {
            200 => times.accepted.push(time),
            403 => times.denied.push(time),
            CLOSED => times.closed.push(time),
            _ => times.rejected.push(time),
        }
    }
}

#[test]
fn concurrent_logins_stay_within_the_hashing_capacity() {
    let mut budget = Budget::new("logins", 1);
    raise_limit();
    let clients = budget.size(400, 10_000);
    let service = Service::start(&DEFAULT_COST);
    let mut client = WellBehavedClient::sign_up(&service, "client");
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut times, outstanding) = (Times::default(), Arc::default());
    let address = service.address().parse().unwrap();
    let watch = ProcessWatch::start(&service);
    // The memory at the start may include a hash already, so the limit is for the growth.
    let max = HASH_MEMORY * u64::try_from(threads).unwrap()
        + 64 * MIB
        + KIB_PER_CONNECTION * u64::try_from(clients).unwrap();
    while budget.next_round().is_some() {
        let round = budget.name_round();
        let rejected_before = times.rejected.len();
        client.run_during(|_| {
            runtime.block_on(log_in_concurrently(address, clients, &mut times, &outstanding));
        });
        assert!(!times.accepted.is_empty() && !times.denied.is_empty(), "{round}");
        assert!(times.rejected.len() > rejected_before, "{round}: no login was rejected");
        watch.wait_until_connections_are_closed();
        watch.assert_growth_below(max, &round);
        // A later login succeeds.
        service.connect().exchange(login_request("client", PASSWORD)).expect(200);
    }
    budget.report("concurrent logins", outstanding.max.load(Ordering::SeqCst));
    budget.report("accepted", describe(&times.accepted));
    budget.report("denied", describe(&times.denied));
    budget.report("rejected with 503", describe(&times.rejected));
    budget.report("closed without a response", describe(&times.closed));
    budget.report("responses to others meanwhile", client.describe());
    budget.report("MiB", watch.describe());
    budget.report("hashing threads", threads);
}
