//! A mail server for tests (RFC 5321), with TLS from the start or after STARTTLS.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Certificate, SentMail};

/// The time for one mail, on a machine that is busy with other tests.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How the server encrypts connections.
#[derive(Clone)]
pub enum SmtpTls {
    None,
    StartTls(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

impl SmtpTls {
    /// Returns the configuration of a server with the certificate.
    pub fn config(certificate: &Certificate) -> Arc<ServerConfig> {
        let chain = CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![chain], key).unwrap())
    }
}

/// A mail that the server has accepted.
#[derive(Debug)]
pub struct ReceivedMail {
    pub mail: SentMail,
    pub from: String,
    /// The argument of AUTH, if the client logged in.
    pub login: Option<String>,
    pub is_encrypted: bool,
}

/// Accepts connections until it is dropped.
pub struct SmtpServer {
    pub address: SocketAddr,
    mails: Receiver<ReceivedMail>,
    connections: Arc<AtomicUsize>,
    is_ending: Arc<AtomicBool>,
}

impl SmtpServer {
    /// Listens on a free port of this machine. `recipient_answer` is the answer to every
    /// recipient. An empty one is silence.
    pub fn start(tls: SmtpTls, recipient_answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mails) = channel();
        let (connections, is_ending) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, ending) = (Arc::clone(&connections), Arc::clone(&is_ending));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let (tls, sender) = (tls.clone(), sender.clone());
                // An error means that the client has left.
                thread::spawn(move || serve(stream, &tls, recipient_answer, &sender));
            }
        });
        Self { address, mails, connections, is_ending }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the next mail.
    pub fn next_mail(&self) -> ReceivedMail {
        self.mails.recv_timeout(TIMEOUT).expect("no mail came")
    }

    /// Returns the mails that have come and were not returned yet.
    pub fn other_mails(&self) -> Vec<ReceivedMail> {
        self.mails.try_iter().collect()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::SeqCst);
        // Wakes the listener up. An error means that it has ended.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    tls: &SmtpTls,
    recipient_answer: &str,
    mails: &Sender<ReceivedMail>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut session = Session { recipient_answer, mails, login: None, is_encrypted: false };
    match tls {
        SmtpTls::None => session.run(stream, "", true).map(drop),
        SmtpTls::Implicit(config) => {
            session.is_encrypted = true;
            session.run(encrypt(stream, config), "", true).map(drop)
        }
        SmtpTls::StartTls(config) => {
            let Some(stream) = session.run(stream, "250-STARTTLS\r\n", true)? else {
                return Ok(());
            };
            session.is_encrypted = true;
            session.run(encrypt(stream, config), "", false).map(drop)
        }
    }
}

fn encrypt(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}

struct Session<'a> {
    recipient_answer: &'a str,
    mails: &'a Sender<ReceivedMail>,
    login: Option<String>,
    is_encrypted: bool,
}

impl Session<'_> {
    /// Answers commands until the client leaves, or asks for TLS: then returns the stream.
    fn run<S: Read + Write>(
        &mut self,
        stream: S,
        extensions: &str,
        greets: bool,
    ) -> io::Result<Option<S>> {
        let mut stream = BufReader::new(stream);
        if greets {
            send(&mut stream, "220 localhost ready")?;
        }
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = read_line(&mut stream)?;
            let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
            match command.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    let answer = format!("250-localhost\r\n{extensions}250 AUTH PLAIN");
                    send(&mut stream, &answer)?;
                }
                "STARTTLS" => {
                    send(&mut stream, "220 ready for TLS")?;
                    return Ok(Some(stream.into_inner()));
                }
                "AUTH" => {
                    self.login = Some(argument.to_owned());
                    send(&mut stream, "235 welcome")?;
                }
                "MAIL" => {
                    from = address(argument);
                    send(&mut stream, "250 ok")?;
                }
                "RCPT" => {
                    to.push(address(argument));
                    let answer = self.recipient_answer.replace("{}", &address(argument));
                    send(&mut stream, &answer)?;
                }
                "DATA" => {
                    send(&mut stream, "354 send the message")?;
                    let message = read_message(&mut stream)?;
                    let mail = ReceivedMail {
                        mail: SentMail::new(&to.join(","), &message),
                        from: from.clone(),
                        login: self.login.clone(),
                        is_encrypted: self.is_encrypted,
                    };
                    // An error means that the test has ended.
                    let _ = self.mails.send(mail);
                    send(&mut stream, "250 accepted")?;
                }
                "QUIT" => {
                    send(&mut stream, "221 bye")?;
                    return Ok(None);
                }
                _ => send(&mut stream, "500 unknown command")?,
            }
        }
    }
}

/// Returns the address between the angle brackets.
fn address(argument: &str) -> String {
    let inside = argument.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

fn send<S: Read + Write>(stream: &mut BufReader<S>, answer: &str) -> io::Result<()> {
    if answer.is_empty() {
        return Ok(());
    }
    stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
    stream.get_mut().flush()
}

fn read_line<S: Read>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Reads to the line with a dot only, and removes the dot that the client added to others.
fn read_message<S: Read>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut message = String::new();
    loop {
        let line = read_line(stream)?;
        if line == "." {
            return Ok(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
        message.push('\n');
    }
}
