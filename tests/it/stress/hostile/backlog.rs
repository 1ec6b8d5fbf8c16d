//! Clients that connect at the same moment to a service that does not accept connections yet.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::hostile_socket;
use super::open_files::raise_limit;
use crate::support::{Service, Wire};

/// More than the default backlog of the kernel, and less than the connection limit.
const CLIENTS: usize = 1000;

/// For a busy machine. The kernel retries a dropped SYN after one second, and then after two.
const TIMEOUT: Duration = Duration::from_secs(20);

fn signal(service: &Service, signal: &str) {
    let process = service.process_id().to_string();
    assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
}

/// Starts to connect, without waiting.
fn start_connecting(number: usize, address: SocketAddr) -> TcpStream {
    let socket = hostile_socket(number);
    socket.set_nonblocking(true).unwrap();
    // A connection in progress is reported as an error.
    let _ = socket.connect(&address.into());
    socket.into()
}

fn wait_until_all_are_connected(clients: &[TcpStream]) {
    let start = Instant::now();
    loop {
        let waiting = clients.iter().filter(|stream| stream.peer_addr().is_err()).count();
        if waiting == 0 {
            return;
        }
        assert!(start.elapsed() < TIMEOUT, "{waiting} of {CLIENTS} are not connected");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn connections_to_a_stopped_service_are_accepted_and_answered_later() {
    raise_limit();
    let service = Service::start(&[]);
    signal(&service, "-STOP");
    let address = service.address().parse().unwrap();
    let clients: Vec<TcpStream> =
        (0..CLIENTS).map(|number| start_connecting(number, address)).collect();
    wait_until_all_are_connected(&clients);
    for mut stream in &clients {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    }
    signal(&service, "-CONT");
    for stream in clients {
        stream.set_nonblocking(false).unwrap();
        assert_eq!(Wire::over(stream).unwrap().read_response().status, 200);
    }
}
