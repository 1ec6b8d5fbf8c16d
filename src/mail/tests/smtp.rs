//! Conversations with mail servers: hostile ones, silent ones, and what each answer means.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::super::smtp_connection::SmtpConnection;
use super::*;

/// Long enough for a slow machine.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A hostile server sends this many bytes: more than any reply, but the test itself stays small.
const FLOOD: usize = 8 * 1024 * 1024;

/// Serves the connection of the client.
type Serve = fn(&mut TcpStream);

/// The answers of a server, in the order of the commands. An empty answer is silence.
const ACCEPTING: [&str; 6] = ["220 ready", "250 localhost", "250 ok", "250 ok", "354 go", "250 ok"];

fn client_name() -> ClientId {
    ClientId::Domain("example.org".to_owned())
}

fn message() -> Message {
    let sender = Sender::parse("no-reply@example.org").unwrap();
    let url = PublicUrl::parse("https://example.org").unwrap();
    message::build(&mail_to("ada@example.com"), &sender, &url, Timestamp::UNIX_EPOCH).unwrap()
}

/// Sends a mail to a server on this machine. `serve` gets its connection, which stays open until the
/// test has the outcome.
async fn send(url: &str, serve: Serve) -> Result<(), SendError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url.replace("PORT", &listener.local_addr().unwrap().port().to_string());
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        serve(&mut stream);
        // Ends with an error, because nothing is sent.
        ended.recv().unwrap_err();
    });
    let Ok(MailServer::Smtp(smtp)) = MailServer::parse(&url) else { panic!("{url}") };
    let public = PublicUrl::parse("https://example.org").unwrap();
    let transport = SmtpTransport::new(&smtp, &public).unwrap();
    let outcome = tokio::time::timeout(TIMEOUT, transport.send(&message())).await;
    drop(done);
    // QUIT runs meanwhile.
    while !server.is_finished() {
        tokio::task::yield_now().await;
    }
    server.join().unwrap();
    outcome.expect("the try has no end")
}

/// Answers each command, and reads a message after 354.
fn answer(stream: &mut TcpStream, answers: &[&str]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut writer = stream.try_clone().unwrap();
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            let Some(Ok(line)) = lines.next() else { return };
            if answers[number - 1].starts_with("354") {
                while lines.next().unwrap().unwrap() != "." {}
            } else {
                assert!(!line.is_empty());
            }
        }
        if !answer.is_empty() {
            write!(writer, "{answer}\r\n").unwrap();
        }
    }
}

/// Writes a text again and again until the client closes the connection.
fn flood(stream: &mut TcpStream, text: &str) {
    let text = text.repeat(8 * 1024 / text.len());
    for _ in 0..FLOOD / text.len() {
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn server_that_sends_without_end_fails_the_try() {
    let floods: [Serve; 4] = [
        |stream| flood(stream, "a"),
        |stream| flood(stream, "220-\r\n"),
        |stream| flood(stream, "\0\n"),
        |stream| {
            answer(stream, &["220 ready", "250-localhost"]);
            flood(stream, "250-SIZE\r\n");
        },
    ];
    for (number, serve) in floods.into_iter().enumerate() {
        let error = send("smtp://127.0.0.1:PORT?tls=none", serve).await.unwrap_err();
        let is_expected = matches!(error, SendError::Closed | SendError::Response);
        assert!(is_expected && !error.is_final(), "{number}: {error}");
    }
}

#[tokio::test]
async fn server_that_sends_garbage_instead_of_tls_fails_the_try() {
    let garbage: [(&str, Serve); 3] = [
        ("smtps://127.0.0.1:PORT", |stream| flood(stream, "220 ready\r\n")),
        // Begins like a record of 16 KiB of a handshake.
        ("smtps://127.0.0.1:PORT", |stream| flood(stream, "\x16\x03\x03\x40\0\x0b")),
        ("smtp://127.0.0.1:PORT", |stream| {
            answer(stream, &["220 ready", "250-localhost\r\n250 STARTTLS", "220 go"]);
            flood(stream, "\x16\x03\x03\x40\0\x0b");
        }),
    ];
    for (url, serve) in garbage {
        let error = send(url, serve).await.unwrap_err();
        // After STARTTLS, garbage that comes early is a text that was added to the last reply.
        let is_expected = matches!(error, SendError::Connection(_) | SendError::Response);
        assert!(is_expected && !error.is_final(), "{url}: {error:?}");
    }
}

/// The case of keywords has no meaning, and a reply needs no text (RFC 5321, 2.4 and 4.2).
#[tokio::test]
async fn unusual_replies_are_understood() {
    let outcome = send("smtp://127.0.0.1:PORT?tls=none", |stream| {
        answer(stream, &["220", "250-mx\r\n250-  \r\n250 8bitmime", "250", "250", "354", "250"]);
    });
    outcome.await.unwrap();
}

/// Others could add a text to the last reply before TLS (as in CVE-2011-0411).
#[tokio::test]
async fn text_after_the_answer_to_starttls_fails_the_try() {
    let injected = "220 go\r\n250-localhost\r\n250 AUTH PLAIN";
    let (client, mut server) = duplex(1024);
    let talk = async {
        server.write_all(b"220 ready\r\n").await.unwrap();
        expect(&mut server, "EHLO").await;
        server.write_all(b"250-localhost\r\n250 STARTTLS\r\n").await.unwrap();
        expect(&mut server, "STARTTLS").await;
        server.write_all(format!("{injected}\r\n").as_bytes()).await.unwrap();
    };
    let upgrade = async { SmtpConnection::greeted(client).await?.start_tls(&client_name()).await };
    let (upgraded, ()) = tokio::join!(upgrade, talk);
    assert!(matches!(upgraded.map(drop), Err(SendError::Response)));
}

/// Reads one command.
async fn expect(server: &mut DuplexStream, command: &str) {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        line.push(char::from(server.read_u8().await.unwrap()));
    }
    assert!(line.starts_with(command), "{line}");
}

/// A server that sends a byte each second.
struct Drip;

#[async_trait]
impl Transport for Drip {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let (client, mut server) = duplex(1024);
        let drip = async {
            loop {
                server.write_all(b"2").await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let converse = async {
            SmtpConnection::greeted(client).await?.deliver(&client_name(), None, message).await
        };
        tokio::select! {
            outcome = converse => outcome,
            never = drip => never,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_sends_a_byte_each_second_fails_the_mail_in_time() {
    let url = PublicUrl::parse("https://example.org/posts/").unwrap();
    let sender = Sender::parse("Posts <no-reply@example.org>").unwrap();
    let mailer = Mailer::with_transport(Box::new(Drip), sender, url, RETRY_WAITS);
    let started = Instant::now();
    let delivery = deliver(&mailer, "ada@example.com").await;
    assert!(matches!(delivery, Delivery::Failed(SendError::Timeout)), "{delivery:?}");
    assert!(started.elapsed() <= Duration::from_mins(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn mail_is_judged_before_quit() {
    // Each server is silent after its last answer, also after QUIT.
    let accepted = send("smtp://127.0.0.1:PORT?tls=none", |stream| {
        answer(stream, &ACCEPTING);
    });
    accepted.await.unwrap();
    let refusals: [(Serve, &str); 6] = [
        (|stream| refuse(stream, 0, "554 no"), "554"),
        (|stream| refuse(stream, 1, "550 no"), "550"),
        (|stream| refuse(stream, 2, "530 no"), "530"),
        (|stream| refuse(stream, 3, "551 no"), "551"),
        (|stream| refuse(stream, 4, "503 no"), "503"),
        (|stream| refuse(stream, 5, "552-no\r\n552 never"), "552"),
    ];
    for (refusing, code) in refusals {
        let error = send("smtp://127.0.0.1:PORT?tls=none", refusing).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the mail server answered {code}"));
        assert!(error.is_final(), "{code}");
    }
}

/// Accepts everything before this answer.
fn refuse(stream: &mut TcpStream, number: usize, answer_text: &'static str) {
    let answers = ACCEPTING[..number].iter().copied().chain([answer_text]);
    answer(stream, &answers.collect::<Vec<_>>());
}

#[tokio::test]
async fn quit_follows_the_outcome() {
    send("smtp://127.0.0.1:PORT?tls=none", |stream| {
        answer(stream, &ACCEPTING);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "QUIT\r\n");
    })
    .await
    .unwrap();
}

/// `250 ok` instead of 354 comes from a server that is out of step.
#[tokio::test]
async fn answer_of_another_kind_is_no_success() {
    for answers in [
        ["220 ready", "250 localhost", "250 ok", "250 ok", "250 ok", "250 ok"],
        ["220 ready", "250 localhost", "250 ok", "250 ok", "354 go", "354 go"],
        ["220 ready", "250 localhost", "354 go", "", "", ""],
    ] {
        let (client, mut server) = duplex(4096);
        server.write_all(format!("{}\r\n", answers.join("\r\n")).as_bytes()).await.unwrap();
        let mut connection = SmtpConnection::greeted(client).await.unwrap();
        let outcome = connection.deliver(&client_name(), None, &message()).await;
        assert!(matches!(outcome, Err(SendError::Response)), "{answers:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn login_uses_a_mechanism_of_the_server() {
    let credentials = Credentials::new("ada".to_owned(), "plum".to_owned());
    let rest = "250 ok\r\n250 ok\r\n354 go\r\n250 ok";
    for (offer, dialogue, expected) in [
        ("AUTH PLAIN LOGIN", "235 ok", Some("AUTH PLAIN AGFkYQBwbHVt\r\n")),
        (
            "AUTH LOGIN",
            "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok",
            Some("AUTH LOGIN\r\nYWRh\r\ncGx1bQ==\r\n"),
        ),
        ("AUTH CRAM-MD5", "", None),
        // Challenges without an end.
        ("AUTH LOGIN", &["334 VXNlcm5hbWU6"; 20].join("\r\n"), None),
    ] {
        let (client, mut server) = duplex(8192);
        let replies = format!("220 a\r\n250-a\r\n250 {offer}\r\n{dialogue}\r\n{rest}\r\n");
        server.write_all(replies.as_bytes()).await.unwrap();
        let mut connection = SmtpConnection::greeted(client).await.unwrap();
        let outcome = connection.deliver(&client_name(), Some(&credentials), &message()).await;
        drop(connection);
        let mut sent = String::new();
        server.read_to_string(&mut sent).await.unwrap();
        assert_eq!(outcome.is_ok(), expected.is_some(), "{offer}: {outcome:?}");
        assert!(sent.contains(expected.unwrap_or_default()), "{sent}");
        assert!(expected.is_some() || !sent.contains("MAIL FROM"), "{sent}");
    }
}

#[tokio::test]
async fn line_that_begins_with_a_dot_stays_in_the_message() {
    let (client, mut server) = duplex(8192);
    let replies = format!("{}\r\n", ACCEPTING.join("\r\n"));
    server.write_all(replies.as_bytes()).await.unwrap();
    let mut connection = SmtpConnection::greeted(client).await.unwrap();
    let sender: lettre::message::Mailbox = "no-reply@example.org".parse().unwrap();
    let message = Message::builder().from(sender.clone()).to(sender);
    let message = message.body(".\r\n..a\r\nb.".to_owned()).unwrap();
    connection.deliver(&client_name(), None, &message).await.unwrap();
    drop(connection);
    let mut sent = String::new();
    server.read_to_string(&mut sent).await.unwrap();
    assert!(sent.ends_with("\r\n\r\n..\r\n...a\r\nb.\r\n.\r\n"), "{sent:?}");
}
