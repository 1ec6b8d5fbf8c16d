//! A conversation with a mail server (RFC 5321), up to its answer to one mail. `lettre` writes the
//! commands and reads the replies. Its own client reads a line of any length, reads a reply again
//! for each of its lines, and waits for the answer to QUIT before it returns an error.
//!
//! Not here: sockets and TLS, see `transport.rs`. The stream ends after a limited number of bytes, so
//! the work is bounded too: each byte is read once.

use std::fmt::Display;

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::send_error::SendError;

/// Maximum number of challenges of a login. The known mechanisms have two.
const MAX_CHALLENGES: usize = 4;

/// The code of a challenge (RFC 4954, 4).
const CHALLENGE: u16 = 334;

/// A connection on which the server speaks SMTP.
pub(super) struct SmtpConnection<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SmtpConnection<S> {
    /// Takes a stream whose greeting was read already.
    pub(super) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Takes a new stream, and reads the greeting.
    pub(super) async fn greeted(stream: S) -> Result<Self, SendError> {
        let mut connection = Self::new(stream);
        connection.read_reply().await?;
        Ok(connection)
    }

    /// Asks for TLS, and returns the stream for its handshake.
    pub(super) async fn start_tls(mut self, name: &ClientId) -> Result<S, SendError> {
        let server = self.hello(name).await?;
        server.need("STARTTLS", "it has no STARTTLS")?;
        self.complete(Starttls).await?;
        // Others could have added such text, which would count as the first encrypted reply.
        if !self.stream.buffer().is_empty() {
            return Err(SendError::Response);
        }
        Ok(self.stream.into_inner())
    }

    /// Logs in if there are credentials, and sends the message. Returns what the server answered.
    pub(super) async fn deliver(
        &mut self,
        name: &ClientId,
        credentials: Option<&Credentials>,
        message: &Message,
    ) -> Result<(), SendError> {
        let server = self.hello(name).await?;
        if let Some(credentials) = credentials {
            self.log_in(&server, credentials).await?;
        }
        let (envelope, text) = (message.envelope(), message.formatted());
        let mut addresses = envelope.from().into_iter().chain(envelope.to());
        let mut parameters = Vec::new();
        if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            server.need("SMTPUTF8", "it has no SMTPUTF8, which the e-mail needs")?;
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !text.is_ascii() {
            server.need("8BITMIME", "it has no 8BITMIME, which the mail needs")?;
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.complete(Mail::new(envelope.from().cloned(), parameters)).await?;
        for recipient in envelope.to() {
            self.complete(Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        if self.command(Data).await?.code().severity != Severity::PositiveIntermediate {
            return Err(SendError::Response);
        }
        self.write(&with_end(&text)).await?;
        completed(&self.read_reply().await?)
    }

    /// Ends the conversation. The server may leave this without an answer.
    pub(super) async fn quit(mut self) -> Result<(), SendError> {
        self.complete(Quit).await
    }

    async fn hello(&mut self, name: &ClientId) -> Result<Capabilities, SendError> {
        let reply = self.command(Ehlo::new(name.clone())).await?;
        // The first line has the name of the server.
        Ok(Capabilities(reply.message().skip(1).map(str::to_uppercase).collect()))
    }

    async fn log_in(
        &mut self,
        server: &Capabilities,
        credentials: &Credentials,
    ) -> Result<(), SendError> {
        let unknown = "it has neither of the logins PLAIN and LOGIN";
        let mechanism = server.login().ok_or(SendError::Capability(unknown))?;
        let first = Auth::new(mechanism, credentials.clone(), None);
        let mut reply = self.command(first.map_err(|_| SendError::Response)?).await?;
        for _ in 0..MAX_CHALLENGES {
            if !reply.has_code(CHALLENGE) {
                return completed(&reply);
            }
            let next = Auth::new_from_response(mechanism, credentials.clone(), &reply);
            reply = self.command(next.map_err(|_| SendError::Response)?).await?;
        }
        completed(&reply)
    }

    /// Sends a command that the server must have completed when it answers.
    async fn complete(&mut self, command: impl Display) -> Result<(), SendError> {
        completed(&self.command(command).await?)
    }

    async fn command(&mut self, command: impl Display) -> Result<Response, SendError> {
        self.write(command.to_string().as_bytes()).await?;
        self.read_reply().await
    }

    async fn write(&mut self, text: &[u8]) -> Result<(), SendError> {
        self.stream.write_all(text).await?;
        Ok(self.stream.flush().await?)
    }

    /// Returns the reply, with all of its lines.
    ///
    /// # Errors
    /// [`SendError::Refused`] if it is negative.
    async fn read_reply(&mut self) -> Result<Response, SendError> {
        let mut reply = Vec::new();
        loop {
            let begin = reply.len();
            self.stream.read_until(b'\n', &mut reply).await?;
            let line = reply.get(begin..).unwrap_or_default();
            if !line.ends_with(b"\n") {
                return Err(SendError::Closed);
            }
            match line.get(3) {
                Some(b'-') => {}
                // The last line has a space after the code (RFC 5321, 4.2.1), or no text at all (4.2).
                Some(b'\r') => {
                    reply.insert(begin + 3, b' ');
                    break;
                }
                _ => break,
            }
        }
        let reply: Response =
            String::from_utf8_lossy(&reply).parse().map_err(|_| SendError::Response)?;
        if reply.is_positive() {
            return Ok(reply);
        }
        let code = reply.code();
        let is_permanent = code.severity == Severity::PermanentNegativeCompletion;
        Err(SendError::Refused { code: code.to_string(), is_permanent })
    }
}

fn completed(reply: &Response) -> Result<(), SendError> {
    let is_complete = reply.code().severity == Severity::PositiveCompletion;
    is_complete.then_some(()).ok_or(SendError::Response)
}

/// The keywords of EHLO's reply, each in a line with its parameters (RFC 5321, 4.1.1.1). They are in
/// capitals, because their case has no meaning.
struct Capabilities(Vec<String>);

impl Capabilities {
    fn need(&self, keyword: &str, lacking: &'static str) -> Result<(), SendError> {
        let has_it = self.parameters(keyword).is_some();
        has_it.then_some(()).ok_or(SendError::Capability(lacking))
    }

    /// Returns a login that the client knows too.
    fn login(&self) -> Option<Mechanism> {
        let logins: Vec<&str> = self.parameters("AUTH")?.collect();
        let known = [(Mechanism::Plain, "PLAIN"), (Mechanism::Login, "LOGIN")];
        known.into_iter().find(|(_, name)| logins.contains(name)).map(|(mechanism, _)| mechanism)
    }

    fn parameters(&self, keyword: &str) -> Option<impl Iterator<Item = &str>> {
        let mut lines = self.0.iter().map(|line| line.split_whitespace());
        lines.find_map(|mut words| (words.next() == Some(keyword)).then_some(words))
    }
}

/// Adds the line that ends a message, and a dot to each line that begins with one (RFC 5321, 4.5.2).
fn with_end(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            text.push(b'.');
        }
        text.extend_from_slice(line);
    }
    text.extend_from_slice(if text.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" });
    text
}
