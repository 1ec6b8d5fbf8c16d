//! The queue, the tries of a mail, and messages.

/// Conversations with mail servers.
mod smtp;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::Message;
use tokio::time::Instant;

use super::*;
use crate::domain::email::Email;

/// Answers to the tries, and when they came. After the last answer no try ends.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Result<(), SendError>>>>,
    tries: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<(), SendError>>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { answers, tries: Arc::default() }
    }

    fn mailer(&self) -> Mailer {
        let url = PublicUrl::parse("https://example.org/posts/").unwrap();
        let sender = Sender::parse("Posts <no-reply@example.org>").unwrap();
        Mailer::with_transport(Box::new(self.clone()), sender, url, RETRY_WAITS)
    }

    /// Returns the seconds from the first try to each.
    fn tries(&self) -> Vec<u64> {
        let tries = self.tries.lock().unwrap();
        tries.iter().map(|time| (*time - tries[0]).as_secs()).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, _: &Message) -> Result<(), SendError> {
        self.tries.lock().unwrap().push(Instant::now());
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

fn refused(code: &str, is_permanent: bool) -> SendError {
    SendError::Refused { code: code.to_owned(), is_permanent }
}

fn unreachable() -> SendError {
    SendError::Connection("connection refused".to_owned())
}

fn mail_to(email: &str) -> Mail {
    Mail::PasswordReset { to: Email::from_stored(email.to_owned()), token: "T0ken".to_owned() }
}

async fn deliver(mailer: &Mailer, email: &str) -> Delivery {
    mailer.try_reserve().unwrap().deliver(&mail_to(email), Timestamp::UNIX_EPOCH).await
}

#[tokio::test(start_paused = true)]
async fn mail_is_sent_with_the_third_try() {
    let script = Script::new([Err(unreachable()), Err(refused("451", false)), Ok(())]);
    let delivery = deliver(&script.mailer(), "ada@example.com").await;
    assert!(matches!(delivery, Delivery::Sent), "{delivery:?}");
    assert_eq!(script.tries(), [0, 30, 210]);
}

#[tokio::test(start_paused = true)]
async fn mail_fails_after_three_tries() {
    let script = Script::new([Err(unreachable()), Err(unreachable()), Err(refused("421", false))]);
    let delivery = deliver(&script.mailer(), "ada@example.com").await;
    let Delivery::Failed(error) = delivery else { panic!("{delivery:?}") };
    assert_eq!(error.to_string(), "the mail server answered 421");
    assert_eq!(script.tries().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn permanent_refusal_is_not_repeated() {
    for error in [refused("550", true), SendError::Capability("no SMTPUTF8")] {
        let script = Script::new([Err(error)]);
        let delivery = deliver(&script.mailer(), "ada@example.com").await;
        assert!(matches!(delivery, Delivery::Failed(_)), "{delivery:?}");
        assert_eq!(script.tries(), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_never_answers_holds_a_mail_for_five_minutes_at_most() {
    let script = Script::default();
    let started = Instant::now();
    let delivery = deliver(&script.mailer(), "ada@example.com").await;
    assert!(matches!(delivery, Delivery::Failed(SendError::Timeout)), "{delivery:?}");
    assert!(started.elapsed() <= Duration::from_mins(5), "{:?}", started.elapsed());
    assert_eq!(script.tries(), [0, 50, 250]);
}

#[tokio::test(start_paused = true)]
async fn mails_that_wait_for_a_connection_fail_in_time() {
    let script = Script::default();
    let (mailer, started) = (script.mailer(), Instant::now());
    let mails = (0..100).map(|_| deliver(&mailer, "ada@example.com"));
    for delivery in futures_util::future::join_all(mails).await {
        assert!(matches!(delivery, Delivery::Failed(SendError::Timeout)), "{delivery:?}");
    }
    assert!(started.elapsed() <= Duration::from_mins(5), "{:?}", started.elapsed());
    // Four connections, each for one try of 20 seconds.
    assert!(script.tries().len() <= 4 * (300 / 20 + 1), "{}", script.tries().len());
}

#[tokio::test(start_paused = true)]
async fn shutdown_drops_mails_that_wait_for_another_try() {
    let script = Script::new([Err(unreachable()), Ok(())]);
    let mailer = script.mailer();
    let started = Instant::now();
    let (delivery, ()) =
        tokio::join!(deliver(&mailer, "ada@example.com"), mailer.shutdown(Duration::from_secs(2)),);
    assert!(matches!(delivery, Delivery::Dropped), "{delivery:?}");
    assert_eq!((script.tries(), mailer.dropped()), (vec![0], 1));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_mails_in_progress() {
    let script = Script::new([Ok(())]);
    let mailer = script.mailer();
    let permit = mailer.try_reserve().unwrap();
    let slow = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        permit.deliver(&mail_to("ada@example.com"), Timestamp::UNIX_EPOCH).await
    };
    let (delivery, ()) = tokio::join!(slow, mailer.shutdown(Duration::from_secs(2)));
    assert!(matches!(delivery, Delivery::Sent), "{delivery:?}");
    assert_eq!(mailer.dropped(), 0);
}

/// Some are in progress, others wait for a connection, and one is not made yet.
#[tokio::test(start_paused = true)]
async fn shutdown_drops_and_counts_every_mail_that_is_left() {
    let mailer = Script::default().mailer();
    let started = Instant::now();
    let deliveries: Vec<_> = (0..9).map(|_| deliver(&mailer, "ada@example.com")).collect();
    let permit = mailer.try_reserve().unwrap();
    let making = async {
        let made = permit.unless_dropped(pending::<()>()).await;
        drop(permit);
        made
    };
    let (deliveries, made, ()) = tokio::join!(
        futures_util::future::join_all(deliveries),
        making,
        mailer.shutdown(Duration::from_secs(2)),
    );
    assert!(deliveries.iter().all(|delivery| matches!(delivery, Delivery::Dropped)));
    assert_eq!((made, mailer.dropped()), (None, 10));
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    // A request that ended late.
    let late = deliver(&mailer, "ada@example.com").await;
    assert!(matches!(late, Delivery::Dropped), "{late:?}");
    assert_eq!(mailer.dropped(), 11);
}

#[tokio::test]
async fn full_queue_gives_no_permit() {
    let mailer = Script::default().mailer();
    let mut permits: Vec<_> = (0..1024).map(|_| mailer.try_reserve().unwrap()).collect();
    assert!(mailer.try_reserve().is_none());
    permits.pop();
    assert!(mailer.try_reserve().is_some());
}

/// Returns the message to this e-mail.
fn text_of(mail: &Mail) -> Result<String, SendError> {
    let sender = Sender::parse("Posts <no-reply@example.org>").unwrap();
    let url = PublicUrl::parse("https://example.org/posts/").unwrap();
    let message = message::build(mail, &sender, &url, Timestamp::UNIX_EPOCH)?;
    Ok(String::from_utf8(message.formatted()).unwrap())
}

#[test]
fn message_is_plain_text_with_the_link_on_one_line() {
    let text = text_of(&mail_to("ada@example.com")).unwrap();
    for line in [
        "From: Posts <no-reply@example.org>\r\n",
        "To: ada@example.com\r\n",
        "Subject: Reset your password\r\n",
        "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Transfer-Encoding: 7bit\r\n",
        "\r\nhttps://example.org/posts/#reset=T0ken\r\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in {text}");
    }
    assert!(text.contains("@example.org>\r\n"), "the message ID has no domain: {text}");
    let to = || Email::from_stored("ada@example.com".to_owned());
    let verification = Mail::EmailVerification { to: to(), token: "T0ken".to_owned() };
    assert!(text_of(&verification).unwrap().contains("/posts/#verify=T0ken\r\n"));
    let changed = text_of(&Mail::EmailChanged { to: to() }).unwrap();
    assert!(!changed.contains('#') && changed.contains("https://example.org/posts\r\n"));
}

#[test]
fn domain_of_the_recipient_is_written_in_ascii() {
    let text = text_of(&mail_to("ada@b\u{fc}cher.example")).unwrap();
    assert!(text.contains("To: ada@xn--bcher-kva.example\r\n"), "{text}");
}

#[test]
fn no_email_adds_a_header_field_or_a_panic() {
    for email in [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\r\nBcc: eve@example.com",
        "a\nb@example.com",
        "ada@example.com, eve@example.com",
        "<ada@example.com>",
        "closed:0123456789abcdef",
        "no address",
        "@",
        "ada@",
        "@example.com",
        "",
        "ada@example.com>\r\nRCPT TO:<eve@example.com",
        "ada@[127.0.0.1\r\n]",
        "\0@example.com",
        &format!("{}@example.com", "a".repeat(2000)),
        &format!("ada@{}.com", "a".repeat(300)),
    ] {
        match text_of(&mail_to(email)) {
            Err(error) => assert!(matches!(error, SendError::Recipient), "{email:?}: {error}"),
            Ok(text) => {
                let (head, _) = text.split_once("\r\n\r\n").unwrap();
                assert!(!head.contains("Bcc") && !head.contains("eve"), "{email:?}: {text}");
            }
        }
    }
    for email in
        ["a+b@example.com", "o'hara@example.com", "a.b/c{d}@example.com", "ad\u{e4}@example.com"]
    {
        assert!(text_of(&mail_to(email)).is_ok(), "{email}");
    }
}

#[test]
fn smtp_url_names_server_port_encryption_and_login() {
    for (text, host, port, encryption) in [
        ("smtps://mail.example.org", "mail.example.org", 465, Encryption::Implicit),
        ("smtps://mail.example.org:26/", "mail.example.org", 26, Encryption::Implicit),
        ("smtp://mail.example.org", "mail.example.org", 587, Encryption::StartTls),
        ("smtp://mail.example.org?tls=required", "mail.example.org", 587, Encryption::StartTls),
        ("smtp://127.0.0.1:25?tls=none", "127.0.0.1", 25, Encryption::None),
        ("SMTP://[::1]:25?tls=none", "::1", 25, Encryption::None),
        ("smtps://b\u{fc}cher.example", "xn--bcher-kva.example", 465, Encryption::Implicit),
    ] {
        let MailServer::Smtp(server) = MailServer::parse(text).unwrap() else { panic!("{text}") };
        assert_eq!((server.host.as_str(), server.port), (host, port), "{text}");
        assert_eq!(server.encryption, encryption, "{text}");
        assert!(server.credentials.is_none() && !server.is_plaintext(), "{text}");
    }
    assert!(matches!(MailServer::parse("console:"), Ok(MailServer::Console)));
    let server = MailServer::parse("smtps://ada%40example.com:p%3Aw%2F%C3%A9@mail.example.org");
    let Ok(MailServer::Smtp(server)) = server else { panic!("{server:?}") };
    assert!(!format!("{server:?}").contains("p:w"), "{server:?}");
    let (user, password) = server.credentials.unwrap();
    let password = secrecy::ExposeSecret::expose_secret(&password).to_owned();
    assert_eq!((user.as_str(), password.as_str()), ("ada@example.com", "p:w/\u{e9}"));
}

#[test]
fn smtp_url_with_a_fault_is_refused() {
    for (text, fault) in [
        ("", UnusableSmtpUrl::Scheme),
        ("mail.example.org", UnusableSmtpUrl::Scheme),
        ("console", UnusableSmtpUrl::Scheme),
        ("console://x", UnusableSmtpUrl::Scheme),
        ("https://mail.example.org", UnusableSmtpUrl::Scheme),
        ("smtps:", UnusableSmtpUrl::Host),
        ("smtps://mail.example.org:0", UnusableSmtpUrl::Port),
        ("smtps://user@mail.example.org", UnusableSmtpUrl::Credentials),
        ("smtps://:password@mail.example.org", UnusableSmtpUrl::Credentials),
        ("smtps://user:%ff@mail.example.org", UnusableSmtpUrl::Encoding),
        ("smtps://mail.example.org/path", UnusableSmtpUrl::Path),
        ("smtps://mail.example.org#part", UnusableSmtpUrl::Path),
        ("smtp://mail.example.org?tls=opportunistic", UnusableSmtpUrl::Parameter),
        ("smtps://mail.example.org?tls=none", UnusableSmtpUrl::Parameter),
        ("smtp://mail.example.org?tls=none&x=1", UnusableSmtpUrl::Parameter),
    ] {
        let found = MailServer::parse(text).map(drop);
        assert_eq!(found, Err(fault), "{text}");
    }
}

#[test]
fn only_an_unencrypted_server_on_another_machine_is_plaintext() {
    for (text, is_plaintext) in [
        ("smtp://mail.example.org?tls=none", true),
        ("smtp://localhost?tls=none", false),
        ("smtp://[::ffff:127.0.0.1]?tls=none", false),
        ("smtp://mail.example.org", false),
    ] {
        let Ok(MailServer::Smtp(server)) = MailServer::parse(text) else { panic!("{text}") };
        assert_eq!(server.is_plaintext(), is_plaintext, "{text}");
    }
}

#[test]
fn public_url_is_the_beginning_of_links() {
    for (text, link) in [
        ("https://example.org", "https://example.org/#reset=T"),
        ("https://example.org/", "https://example.org/#reset=T"),
        ("http://localhost:8000", "http://localhost:8000/#reset=T"),
        ("https://example.org/a/b/", "https://example.org/a/b/#reset=T"),
        ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example/#reset=T"),
    ] {
        let url = PublicUrl::parse(text).unwrap();
        assert_eq!(url.link("reset", "T"), link);
        assert!(!url.is_plaintext(), "{text}");
    }
    assert!(PublicUrl::parse("http://example.org").unwrap().is_plaintext());
    for text in [
        "",
        "example.org",
        "/posts",
        "ftp://example.org",
        "https://",
        "https://user@example.org",
        "https://user:password@example.org",
        "https://example.org?a=b",
        "https://example.org#part",
        "https://example.org\n/a",
        "javascript:alert(1)",
    ] {
        assert_eq!(PublicUrl::parse(text), Err(UnusablePublicUrl), "{text:?}");
    }
}
