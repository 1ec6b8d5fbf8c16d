//! The service under a service manager: messages to its socket, and a listening socket that it passes.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Service, Wire, activated};

/// Returns a socket that waits up to a minute for a message.
fn patient(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    socket
}

fn next_message(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = socket.recv(&mut message).expect("a message of the service");
    String::from_utf8(message[..length].to_vec()).unwrap()
}

/// Starts the service with these variables and follows its messages to its end.
fn assert_reports(socket: &UnixDatagram, name: &str) {
    let environment = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "20000")];
    let mut service = Service::start(&environment);
    assert_eq!(next_message(socket), "READY=1");
    for _ in 0..3 {
        assert_eq!(next_message(socket), "WATCHDOG=1");
    }
    assert_eq!(service.get("/readyz").status, 200);
    service.terminate();
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match next_message(socket).as_str() {
            "WATCHDOG=1" => assert!(Instant::now() < end, "no message at the end"),
            last => break assert_eq!(last, "STOPPING=1"),
        }
    }
    assert!(service.wait().success());
}

#[test]
fn service_reports_that_it_is_ready_alive_and_stopping() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = patient(UnixDatagram::bind(&path).unwrap());
    assert_reports(&socket, path.to_str().unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn socket_with_an_abstract_name_gets_the_messages() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("post-api-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = patient(UnixDatagram::bind_addr(&address).unwrap());
    assert_reports(&socket, &format!("@{name}"));
}

/// A message arrives only after the service listens.
#[test]
fn service_that_cannot_start_does_not_report_that_it_is_ready() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = Service::command(folder.path());
    command.args(["serve", "--port", &port]).env("NOTIFY_SOCKET", &path);
    let status = command.stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err());
}

#[test]
fn socket_that_cannot_be_used_is_logged_once_and_stops_nothing() {
    for (name, line) in [
        ("/missing/notify", "could not notify the service manager"),
        ("notify", "could not use NOTIFY_SOCKET"),
    ] {
        let mut service = Service::start(&[("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "1000")]);
        assert_eq!(service.get("/readyz").status, 200);
        service.terminate();
        assert!(service.wait().success());
        let log = service.final_stderr();
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}

#[test]
fn passed_socket_replaces_host_and_port() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = activated(folder.path(), listener, 1);
    // 192.0.2.1 belongs to no machine (RFC 5737).
    command.envs([("HOST", "192.0.2.1"), ("PORT", "1")]);
    let service = Service::run(&mut command, folder.path());
    assert_eq!(service.address(), address.to_string());
    assert_eq!(service.get("/readyz").status, 200);
}

#[test]
fn socket_for_another_process_is_ignored() {
    let service = Service::start(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    assert_eq!(service.get("/readyz").status, 200);
}

/// Runs `serve`, which must fail. Returns its output.
fn refused(command: &mut Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut error = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("  API   ") {
            child.kill().unwrap();
            panic!("the service serves: {error}");
        }
        error.extend([line.as_str(), "\n"]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(2), "{error}");
    error
}

#[test]
fn sockets_that_the_service_cannot_serve_are_refused_with_the_cure() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let local = UnixListener::bind(folder.path().join("socket")).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let cases: [(OwnedFd, usize, &str); 5] = [
        (listener.into(), 2, "2 sockets are passed, the service listens on one"),
        (client.into(), 1, "the passed socket does not listen"),
        (datagrams.into(), 1, "the passed socket cannot be used: "),
        (local.into(), 1, "the passed socket cannot be used: "),
        (file.into(), 1, "the passed socket cannot be used: "),
    ];
    for (socket, times, problem) in cases {
        let error = refused(&mut activated(folder.path(), socket, times));
        assert!(error.contains(&format!("\n  LISTEN_FDS: {problem}")), "{error}");
        assert!(error.contains("; pass one listening TCP socket"), "{error}");
    }
    assert!(!folder.path().join("data").exists(), "the service created files");
}

/// The socket of the service manager stays open over the restart.
#[test]
fn connection_between_two_processes_waits_for_the_next() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let start = || {
        let socket = listener.try_clone().unwrap();
        Service::run(&mut activated(folder.path(), socket, 1), folder.path())
    };
    let mut first = start();
    first.terminate();
    assert!(first.wait().success());
    let mut wire = Wire::connect(listener.local_addr().unwrap());
    wire.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let _second = start();
    wire.read_response().expect(200);
}
