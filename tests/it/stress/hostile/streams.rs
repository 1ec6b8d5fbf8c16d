//! Thousands of clients that follow the stream of changes while others read and write. At the end
//! SIGTERM ends every stream with a complete response.
//!
//! Not here: what a stream contains, see `stress::live` and `stress::faults::streams`.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::open_files::raise_limit;
use super::process_watch::ProcessWatch;
use super::well_behaved::WellBehavedClient;
use super::{MIB, connect_hostile};
use crate::stress::budget::Budget;
use crate::support::{PASSWORD, Service};

const STREAMS: [usize; 2] = [400, 10_000];

/// Streams of one account.
const STREAMS_PER_ACCOUNT: usize = 10;

/// Open files that this process and the service need for other purposes, including other tests.
const RESERVED_FILES: usize = 4000;

/// By how much a stream may make the memory of the process grow, in KiB (docs/live.md).
const MEMORY_PER_STREAM: u64 = 36;

/// Memory of the events for all streams, and of the reads and writes of the test.
const SHARED_MEMORY: u64 = 64 * MIB;

/// The last chunk of a complete response (RFC 9112, 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[test]
fn thousands_of_streams_do_not_hold_up_others() {
    let mut budget = Budget::new("streams of changes", 1);
    let wanted = budget.size(STREAMS[0], STREAMS[1]);
    assert!(raise_limit() >= wanted + RESERVED_FILES, "the limit on open files is too low");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    while budget.next_round().is_some() {
        let mut service = Service::start(&[]);
        let tokens = sign_up(&service, wanted.div_ceil(STREAMS_PER_ACCOUNT));
        let mut before = WellBehavedClient::sign_up(&service, "before");
        let requests = budget.size(100, 5_000);
        before.run_during(|progress| progress.wait_for_responses(requests));
        let watch = ProcessWatch::start(&service);
        let (mut streams, mut greeted) = Streams::new(&service, &runtime);
        for number in 0..wanted {
            streams.open(number, &tokens[number / STREAMS_PER_ACCOUNT]);
        }
        runtime.block_on(async {
            for _ in 0..wanted {
                greeted.recv().await.expect("every stream gets its greeting");
            }
        });
        let mut meanwhile = WellBehavedClient::sign_up(&service, "meanwhile");
        meanwhile.run_during(|progress| progress.wait_for_responses(requests));
        let limit = u64::try_from(wanted).unwrap() * MEMORY_PER_STREAM + SHARED_MEMORY;
        watch.assert_growth_below(limit, &budget.name_round());
        budget.report("MiB", watch.describe());
        let start = Instant::now();
        service.terminate();
        let events = streams.wait_for_ends();
        assert!(service.wait().success());
        budget.report("from SIGTERM to the end of the process", format!("{:?}", start.elapsed()));
        budget.report("streams", wanted);
        budget.report("bytes that the streams got", events);
        budget.report("responses before", before.describe());
        budget.report("responses meanwhile", meanwhile.describe());
    }
}

/// Returns the tokens of so many accounts.
fn sign_up(service: &Service, accounts: usize) -> Vec<String> {
    let sign_up = |number| {
        let email = format!("follower{number}@example.com");
        let account = json!({"email": email, "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        service.log_in(&email)
    };
    (0..accounts).map(sign_up).collect()
}

struct Streams<'a> {
    runtime: &'a tokio::runtime::Runtime,
    address: SocketAddr,
    greeted: UnboundedSender<()>,
    readers: Vec<JoinHandle<usize>>,
}

impl<'a> Streams<'a> {
    /// The receiver gets a message for each stream with a greeting.
    fn new(
        service: &Service,
        runtime: &'a tokio::runtime::Runtime,
    ) -> (Self, UnboundedReceiver<()>) {
        let (greeted, received) = unbounded_channel();
        let address = service.address().parse().unwrap();
        (Self { runtime, address, greeted, readers: Vec::new() }, received)
    }

    /// Connects from one of many networks, and reads in a task of its own.
    fn open(&mut self, number: usize, token: &str) {
        let stream = connect_hostile(number, self.address);
        let request = format!(
            "GET /posts/changes HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        let greeted = self.greeted.clone();
        self.readers.push(self.runtime.spawn(async move {
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream).unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            read_to_end(stream, &greeted).await
        }));
    }

    /// Waits until every stream has ended as a whole, and returns the number of bytes read.
    fn wait_for_ends(self) -> usize {
        self.runtime.block_on(async {
            let mut bytes = 0;
            for reader in self.readers {
                bytes += reader.await.unwrap();
            }
            bytes
        })
    }
}

/// Reads the response, whose last bytes must be the last chunk. Returns the number of bytes.
async fn read_to_end(mut stream: TcpStream, greeted: &UnboundedSender<()>) -> usize {
    let (mut buffer, mut beginning, mut bytes) = ([0; 4096], Vec::new(), 0);
    let mut end = Vec::new();
    let mut is_greeted = false;
    loop {
        let length = stream.read(&mut buffer).await.unwrap();
        if length == 0 {
            assert!(end.ends_with(LAST_CHUNK), "{}", String::from_utf8_lossy(&end));
            return bytes;
        }
        bytes += length;
        end.extend_from_slice(&buffer[..length]);
        end.drain(..end.len().saturating_sub(LAST_CHUNK.len()));
        if !is_greeted {
            beginning.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&beginning);
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            if text.contains("event: hello") {
                is_greeted = true;
                beginning = Vec::new();
                greeted.send(()).unwrap();
            }
        }
    }
}
