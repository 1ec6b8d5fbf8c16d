//! The listening socket that a service manager passes (socket activation). It stays open while the
//! service restarts: new connections wait in the queue of the kernel, and no connection is refused.

use std::net::TcpListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// The passed sockets cannot be used. The text says why.
#[derive(Debug, thiserror::Error)]
pub enum UnusableSocket {
    #[error("{0} sockets are passed, the service listens on one")]
    Several(usize),
    #[error("the passed socket cannot be used: {0}")]
    NoTcpSocket(#[from] std::io::Error),
    #[error("the passed socket does not listen")]
    NotListening,
}

/// Returns the socket that the variables `LISTEN_FDS` and `LISTEN_PID` name, or `None` if none is
/// passed to this process. Removes the variables, so call it before the process has threads that
/// read the environment.
///
/// # Errors
/// [`UnusableSocket`] unless the socket is one listening TCP socket.
pub fn passed_socket() -> Result<Option<TcpListener>, UnusableSocket> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => return Ok(None),
        1 => {}
        several => return Err(UnusableSocket::Several(several)),
    }
    let listener = passed.take_tcp_listener(0)?;
    let is_listening = |listener: &TcpListener| socket_acceptconn(listener).unwrap_or(false);
    if listener.as_ref().is_some_and(is_listening) {
        Ok(listener)
    } else {
        Err(UnusableSocket::NotListening)
    }
}
