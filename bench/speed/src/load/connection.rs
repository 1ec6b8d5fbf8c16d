//! One connection with at most one request under way.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::response::{self, Answer};

/// Most that is read at once.
const PIECE: usize = 16 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    pub(super) request: Vec<u8>,
    sent: usize,
    /// Of this, so many bytes have come: to make room anew for each answer would cost more than the
    /// rest of the client.
    received: Vec<u8>,
    length: usize,
    /// When the request that is under way was due.
    pub(super) due: Option<Instant>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        // Waits, so that a server that is not there is an error and no measurement.
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (request, received) = (Vec::new(), vec![0; PIECE]);
        Ok(Self { stream, request, sent: 0, received, length: 0, due: None })
    }

    /// Sends the request that was put into it, as far as that goes.
    pub(super) fn begin(&mut self, due: Instant) -> Result<()> {
        self.due = Some(due);
        self.sent = 0;
        self.send()
    }

    pub(super) fn send(&mut self) -> Result<()> {
        while let Some(rest) = self.request.get(self.sent..)
            && !rest.is_empty()
        {
            match self.stream.write(rest) {
                Ok(0) => bail!("nothing can be sent"),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes in what has come, and has the answer looked at if that was all of it. Tells whether it
    /// was, and whether the connection can be used again.
    pub(super) fn receive(&mut self, look: impl FnOnce(&Answer<'_>)) -> Result<(bool, bool)> {
        self.take_in()?;
        if self.due.is_none() {
            if self.length == 0 {
                return Ok((false, true));
            }
            bail!("an answer to nothing");
        }
        let received = self.received.get(..self.length).unwrap_or_default();
        let Some(answer) = response::parse(received)? else { return Ok((false, true)) };
        if answer.length != self.length {
            bail!("more than one answer");
        }
        let goes_on = !answer.is_last;
        look(&answer);
        self.length = 0;
        self.due = None;
        Ok((true, goes_on))
    }

    fn take_in(&mut self) -> Result<()> {
        loop {
            if self.length == self.received.len() {
                self.received.resize(self.length + PIECE, 0);
            }
            let room = self.received.get_mut(self.length..).unwrap_or_default();
            let wanted = room.len();
            match self.stream.read(room) {
                Ok(0) => bail!("the server ended the connection"),
                Ok(length) => {
                    self.length += length;
                    // Less than there was room for: that was all.
                    if length < wanted {
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
