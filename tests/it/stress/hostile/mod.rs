//! Hostile clients against the binary as operators run it. During an attack all requests of
//! well-behaved clients from another network get the right response, and the memory of the process
//! stays below its documented limit. Afterwards the service has freed the memory and the
//! connections of the attack.
//!
//! The attacks use the embedded store, as their target is code that runs before the store. Only
//! lists run on both, as each store reads them in its own way.
//!
//! Not here: responses to a single hostile request, see `process`.

mod backlog;
mod floods;
mod guessing;
mod held;
mod idle;
mod logins;
mod nginx;
mod open_files;
mod oversized;
mod process_watch;
mod slow;
mod smuggling;
mod streams;
mod well_behaved;
mod zero_window;

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

/// One MiB in KiB, the unit of the kernel.
const MIB: u64 = 1024;

/// By how much all clients together may make the memory of the process grow: `CLIENT_MEMORY_MIB`,
/// and what works on lists and bodies for a moment (docs/operations.md).
const CLIENT_MEMORY: u64 = (512 + 256) * MIB;

/// Connections from one hostile network, within its share of connections and memory.
const CONNECTIONS_PER_NETWORK: usize = 250;

/// Returns a socket of a hostile client: the n-th connection of an attack, from a network of its own
/// for each 250 of them. Well-behaved clients connect from 127.0.0.1.
fn hostile_socket(number: usize) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let network = u8::try_from(1 + number / CONNECTIONS_PER_NETWORK).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, network, 1], 0)).into()).unwrap();
    socket
}

fn connect_hostile(number: usize, address: SocketAddr) -> TcpStream {
    let socket = hostile_socket(number);
    socket.connect(&address.into()).unwrap();
    socket.into()
}
