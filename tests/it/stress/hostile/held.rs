//! Clients that make the process hold as much as each stream of each connection allows: the largest
//! heads, unfinished bodies and unread responses of every size, from many networks, over HTTP/1.1
//! and HTTP/2, while pings keep the connections busy.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::process_watch::ProcessWatch;
use super::well_behaved::WellBehavedClient;
use super::{CLIENT_MEMORY, CONNECTIONS_PER_NETWORK, connect_hostile};
use crate::stress::budget::Budget;
use crate::support::Service;
use crate::support::frames::{
    END_HEADERS, END_STREAM, Kind, PREFACE, field, frame, indexed_field, request_fields,
};

/// Concurrent streams that the service allows.
const STREAMS: u32 = 100;

/// The fields of the largest head: with its four pseudo-header fields it is below 16 KiB, each
/// field with its 32 bytes of overhead.
const FIELDS: usize = 94;

/// Bytes of a body that may arrive before the service reads it.
const WINDOW: usize = 64 * 1024;

/// Networks that attack at the same time, in the short form and in the long.
const NETWORKS: [usize; 2] = [4, 24];

/// Connections of each network. Its share of the memory ends before the last.
const CONNECTIONS: [usize; 2] = [6, 40];

/// Returns a head with the most bytes that are allowed.
fn largest_head(fields: &[u8]) -> Vec<u8> {
    let mut head = fields.to_vec();
    head.extend((0..FIELDS).flat_map(|number| field(&format!("x{number}"), &"v".repeat(120))));
    head
}

/// Returns the frames that a client sends on all of its streams.
fn streams(kind: usize, token: &str) -> Vec<u8> {
    let get = |path: &str| {
        let mut fields = request_fields("GET", path);
        fields.extend(field("authorization", &format!("Bearer {token}")));
        fields
    };
    let mut frames = Vec::new();
    for stream in (1..).step_by(2).take(STREAMS.try_into().unwrap()) {
        let whole = |fields: &[u8]| frame(Kind::Headers, END_STREAM | END_HEADERS, stream, fields);
        let begun = |fields: &[u8]| frame(Kind::Headers, END_HEADERS, stream, fields);
        let mut post = request_fields("POST", "/users");
        post.extend(field("content-type", "application/json"));
        frames.extend(match kind % 6 {
            0 => begun(&largest_head(&post)),
            // The newest field of the dynamic table repeats the head in one byte a field.
            1 => begun(&[post, indexed_field("a", ""), vec![0xbe; 95]].concat()),
            2 => {
                let piece = vec![b' '; WINDOW / 100];
                [begun(&post), frame(Kind::Data, 0, stream, &piece)].concat()
            }
            3 => whole(&get("/posts?limit=3")),
            4 => whole(&request_fields("GET", &format!("/users/{}", "9".repeat(4000)))),
            _ => whole(&get("/docs/swagger-ui-bundle.js")),
        });
    }
    frames
}

/// Opens a connection with closed windows and sends everything that the service takes at once.
fn open(number: usize, kind: usize, address: SocketAddr, token: &str) -> TcpStream {
    let mut stream = connect_hostile(number, address);
    stream.set_nonblocking(true).unwrap();
    let opening = if kind % 7 == 6 {
        // Over HTTP/1.1 a connection holds one request: a body without its end.
        format!(
            "POST /users HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n{}",
            " ".repeat(1_000_000)
        )
        .into_bytes()
    } else {
        let settings = frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, 0]);
        [PREFACE, &settings, &streams(kind, token)].concat()
    };
    // The service may refuse the connection, or stop reading.
    let _ = stream.write_all(&opening);
    stream
}

/// Sends a ping, and reads what the service has sent.
fn keep_busy(stream: &mut TcpStream) {
    let _ = stream.write_all(&frame(Kind::Ping, 0, 0, &[1; 8]));
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[test]
fn everything_that_clients_hold_stays_within_the_memory_of_the_process() {
    let mut budget = Budget::new("everything that clients hold", 1);
    let service = Service::start(&[]);
    let mut client = WellBehavedClient::sign_up(&service, "client");
    let networks = budget.size(NETWORKS[0], NETWORKS[1]);
    let connections = budget.size(CONNECTIONS[0], CONNECTIONS[1]);
    let (address, token) = (service.address().parse().unwrap(), client.token.clone());
    let watch = ProcessWatch::start(&service);
    while budget.next_round().is_some() {
        client.run_during(|progress| {
            let mut open: Vec<TcpStream> = (0..networks * connections)
                .map(|number| {
                    let (network, kind) = (number % networks, number / networks);
                    open(network * CONNECTIONS_PER_NETWORK, kind, address, &token)
                })
                .collect();
            for _ in 0..budget.size(10, 200) {
                open.iter_mut().for_each(keep_busy);
                progress.wait_for_responses(5);
            }
        });
        watch.wait_until_connections_are_closed();
        watch.assert_growth_below(CLIENT_MEMORY, &budget.name_round());
    }
    budget.report("connections", format!("{connections} from each of {networks} networks"));
    budget.report("MiB", watch.describe());
    budget.report("responses to others meanwhile", client.describe());
}
