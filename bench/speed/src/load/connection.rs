//! One non-blocking connection with at most one request in flight.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::response::{self, Response};

/// Bytes by which the read buffer grows.
const READ_SIZE: usize = 16 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    pub(super) request: Vec<u8>,
    sent: usize,
    /// The read buffer; its first `length` bytes are received. It is reused, because an allocation
    /// per response costs more than the rest of the client.
    received: Vec<u8>,
    length: usize,
    /// When the request in flight was due.
    pub(super) due: Option<Instant>,
}

/// The state of a connection after a read.
pub(super) struct Received {
    /// Whether the response is complete.
    pub(super) is_complete: bool,
    /// Whether the connection can carry another request.
    pub(super) can_be_reused: bool,
}

impl Received {
    const PARTIAL: Self = Self { is_complete: false, can_be_reused: true };
}

impl Connection {
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        // Connects blocking, so that an unreachable server is an error and not a slow response.
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (request, received) = (Vec::new(), vec![0; READ_SIZE]);
        Ok(Self { stream, request, sent: 0, received, length: 0, due: None })
    }

    /// Starts to send `self.request`.
    pub(super) fn start_request(&mut self, due: Instant) -> Result<()> {
        self.due = Some(due);
        self.sent = 0;
        self.send()
    }

    /// Sends the rest of the request, as far as the socket takes it without blocking.
    pub(super) fn send(&mut self) -> Result<()> {
        while let Some(rest) = self.request.get(self.sent..)
            && !rest.is_empty()
        {
            match self.stream.write(rest) {
                Ok(0) => bail!("the socket takes no bytes"),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads the available bytes and, if the response is complete, passes it to `check`.
    pub(super) fn receive(&mut self, check: impl FnOnce(&Response<'_>)) -> Result<Received> {
        self.read_available()?;
        if self.due.is_none() {
            if self.length == 0 {
                return Ok(Received::PARTIAL);
            }
            bail!("a response without a request");
        }
        let received = self.received.get(..self.length).unwrap_or_default();
        let Some(response) = response::parse(received)? else { return Ok(Received::PARTIAL) };
        if response.length != self.length {
            bail!("more than one response");
        }
        let can_be_reused = !response.is_last;
        check(&response);
        self.length = 0;
        self.due = None;
        Ok(Received { is_complete: true, can_be_reused })
    }

    fn read_available(&mut self) -> Result<()> {
        loop {
            if self.length == self.received.len() {
                self.received.resize(self.length + READ_SIZE, 0);
            }
            let free = self.received.get_mut(self.length..).unwrap_or_default();
            let capacity = free.len();
            match self.stream.read(free) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => {
                    self.length += length;
                    // A short read has emptied the socket: no second system call is needed.
                    if length < capacity {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
