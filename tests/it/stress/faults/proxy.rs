//! A bad network between two programs: bytes that arrive late, in pieces, or never.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use socket2::SockRef;

/// How the proxy forwards bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Clear,
    /// Each piece is three milliseconds late.
    Delayed,
    /// Seven bytes at a time.
    Sliced,
    /// No bytes are forwarded, and connections stay open.
    Stalled,
    /// No bytes are forwarded, and connections are reset.
    Down,
}

pub(super) struct Proxy {
    address: String,
    network: Arc<Network>,
}

struct Network {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    condition: Condition,
    connections: Vec<[TcpStream; 2]>,
}

impl Proxy {
    /// Starts a proxy to this local port.
    pub(super) fn to_port(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = State { condition: Condition::Clear, connections: Vec::new() };
        let network = Arc::new(Network { state: Mutex::new(state), changed: Condvar::new() });
        let shared = Arc::clone(&network);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.accept(client, port);
                if Arc::strong_count(&shared) == 1 {
                    return;
                }
            }
        });
        Self { address, network }
    }

    /// `127.0.0.1:PORT`
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn set(&self, condition: Condition) {
        self.network.state.lock().unwrap().condition = condition;
        self.network.changed.notify_all();
    }

    /// Resets every connection and loses the bytes in flight. New connections are reset until the
    /// condition changes.
    pub(super) fn cut(&self) {
        self.network.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.cut();
        // Wakes the listener, which then sees that the proxy is dropped.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Network {
    fn accept(self: &Arc<Self>, client: TcpStream, port: u16) {
        let mut state = self.state.lock().unwrap();
        if state.condition == Condition::Down {
            return reset(&client);
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
            return reset(&client);
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let network = Arc::downgrade(self);
            std::thread::spawn(move || {
                if let Some(network) = network.upgrade() {
                    network.relay(from, to);
                }
            });
        }
        state.connections.push([client, server]);
    }

    fn relay(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            let condition = self.wait_while_stalled();
            if condition == Condition::Down || length == 0 {
                break;
            }
            let piece = &buffer[..length];
            let sent = match condition {
                Condition::Sliced => piece.chunks(7).try_for_each(|slice| to.write_all(slice)),
                Condition::Delayed => {
                    std::thread::sleep(Duration::from_millis(3));
                    to.write_all(piece)
                }
                _ => to.write_all(piece),
            };
            if sent.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    /// Waits while the network is stalled, and returns the condition for the next piece.
    fn wait_while_stalled(&self) -> Condition {
        let state = self.state.lock().unwrap();
        let is_stalled = |state: &mut State| state.condition == Condition::Stalled;
        self.changed.wait_while(state, is_stalled).unwrap().condition
    }

    fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.condition = Condition::Down;
        self.changed.notify_all();
        for [client, server] in state.connections.drain(..) {
            reset(&client);
            reset(&server);
        }
    }
}

/// Closes the connection with a reset instead of a FIN.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}
