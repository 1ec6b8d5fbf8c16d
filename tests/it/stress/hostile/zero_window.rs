//! HTTP/2 clients that request lists with a window of zero. The service serializes each list before
//! it can send it. The clients keep sending pings, so that the connection never idles.
//!
//! Not here: one list per connection over HTTP/1.1, see `slow.rs`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::process_watch::ProcessWatch;
use super::slow::publish_large_posts;
use super::well_behaved::{Progress, WellBehavedClient};
use super::{CLIENT_MEMORY, CONNECTIONS_PER_NETWORK, connect_hostile};
use crate::stress::budget::Budget;
use crate::support::Service;
use crate::support::frames::{
    END_HEADERS, END_STREAM, Kind, PREFACE, field, frame, request_fields,
};

/// Lists of 8 MiB that a connection requests: more than its share.
const LISTS_PER_CONNECTION: u32 = 48;

/// The first byte of a header block with status 200.
const STATUS_200: u8 = 0x88;

/// Several times the time for which the service holds a list, for a busy machine.
const TIMEOUT: Duration = Duration::from_mins(10);

/// A connection on which the service can send only response heads.
struct ZeroWindowClient {
    stream: TcpStream,
    requested: u32,
    /// Received bytes that are not a whole frame yet.
    received: Vec<u8>,
    answered: u32,
    served: u32,
}

impl ZeroWindowClient {
    fn open(number: usize, service: &Service) -> Self {
        let address = service.address().parse().unwrap();
        let mut stream = connect_hostile(number * CONNECTIONS_PER_NETWORK, address);
        stream.write_all(PREFACE).unwrap();
        stream.write_all(&frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, requested: 0, received: Vec::new(), answered: 0, served: 0 }
    }

    fn request(&mut self, token: &str) {
        let mut fields = request_fields("GET", "/posts?limit=1000");
        fields.extend(field("authorization", &format!("Bearer {token}")));
        let stream = 2 * self.requested + 1;
        let requested = frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &fields);
        self.stream.write_all(&requested).unwrap();
        self.requested += 1;
    }

    /// Sends a ping and counts the received response heads.
    fn poll(&mut self) {
        self.stream.write_all(&frame(Kind::Ping, 0, 0, &[1; 8])).unwrap();
        let mut piece = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => panic!("the service closed the connection"),
                Ok(length) => self.received.extend(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(length) = whole_frame(&self.received) {
            #[expect(clippy::as_conversions, reason = "the discriminant is the type on the wire")]
            let is_head = self.received[3] == Kind::Headers as u8;
            self.answered += u32::from(is_head);
            self.served += u32::from(is_head && self.received[9] == STATUS_200);
            self.received.drain(..length);
        }
    }
}

/// Returns the length of the first frame, if it is complete.
fn whole_frame(received: &[u8]) -> Option<usize> {
    let head = received.get(..9)?;
    let length =
        9 + usize::from(head[0]) * 65536 + usize::from(head[1]) * 256 + usize::from(head[2]);
    (received.len() >= length).then_some(length)
}

fn request_all_lists(clients: &mut [ZeroWindowClient], token: &str, progress: &Progress) {
    let start = Instant::now();
    while clients.iter().any(|client| client.answered < LISTS_PER_CONNECTION) {
        for client in clients.iter_mut() {
            if client.requested < LISTS_PER_CONNECTION {
                client.request(token);
            }
            client.poll();
        }
        progress.wait_for_responses(1);
        assert!(start.elapsed() < TIMEOUT, "a list gets no response");
    }
}

fn is_list_served(service: &Service, token: &str) -> bool {
    let list = service.connect().call("GET", "/posts?limit=1000", token, None).unwrap();
    list.status == 200
}

/// Keeps the connections open until the service frees their responses. Only in the long form.
fn wait_until_freed(
    is_over: impl Fn() -> bool,
    clients: &mut [ZeroWindowClient],
    progress: &Progress,
) {
    let start = Instant::now();
    while !is_over() {
        clients.iter_mut().for_each(ZeroWindowClient::poll);
        progress.wait_for_responses(5);
        assert!(start.elapsed() < TIMEOUT, "the service never frees the lists");
    }
}

#[test]
fn lists_with_zero_window_stay_within_memory_budget() {
    let mut budget = Budget::new("lists with a zero window", 1);
    let service = Service::start(&[]);
    let mut client = WellBehavedClient::sign_up(&service, "client");
    publish_large_posts(&service, &client.token);
    let watch = ProcessWatch::start(&service);
    let base = watch.rss();
    let count = budget.size(1, 16);
    let (requested, mut served) = (LISTS_PER_CONNECTION * u32::try_from(count).unwrap(), 0);
    let (token, is_long) = (client.token.clone(), budget.is_long());
    while budget.next_round().is_some() {
        let context = budget.name_round();
        client.run_during(|progress| {
            let mut clients: Vec<ZeroWindowClient> =
                (0..count).map(|number| ZeroWindowClient::open(number, &service)).collect();
            request_all_lists(&mut clients, &token, progress);
            served = clients.iter().map(|client| client.served).sum();
            assert!(served < requested, "{context}: no list was rejected");
            watch.assert_growth_below(CLIENT_MEMORY, &context);
            if is_long {
                let is_over =
                    || watch.rss() < base + CLIENT_MEMORY / 4 && is_list_served(&service, &token);
                wait_until_freed(is_over, &mut clients, progress);
            }
        });
        watch.wait_until_connections_are_closed();
        assert!(is_list_served(&service, &token), "{context}: the budget is not freed");
        watch.wait_until_connections_are_closed();
        watch.assert_growth_below(CLIENT_MEMORY, &context);
    }
    budget
        .report("lists requested", format!("{requested} on {count} connections, {served} served"));
    budget.report("MiB", watch.describe());
    budget.report("responses to others meanwhile", client.describe());
}
