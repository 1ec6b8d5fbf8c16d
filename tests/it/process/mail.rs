//! Mails over SMTP: a reset from end to end, TLS, servers that refuse, and what the log tells.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Certificate, Cluster, PASSWORD, Service, SmtpServer, SmtpTls, TestResponse};

const NEW: &str = "94 moss anchors";
const KEY: &str = "b5b1c2a7f0e34d2f9c7816c7cc1f0c0b";
const ADA: &str = "ada@example.com";
const ACCEPTED: &str = "250 ok";

/// Starts a service that sends its mails to this URL.
fn start(folder: &Path, url: &str, others: &[(&str, &str)]) -> Service {
    let mail = [
        ("SMTP_URL", url),
        ("MAIL_FROM", "Posts <no-reply@example.net>"),
        ("PUBLIC_URL", "https://posts.example.net/app/"),
        ("LOG_LEVEL", "trace"),
        ("ACCESS_LOG", "on"),
    ];
    Service::start_in(folder, &[&mail[..], others].concat())
}

fn post(service: &Service, path: &str, body: &Value) -> TestResponse {
    service.connect().call("POST", path, "", Some(body)).unwrap()
}

fn sign_up(service: &Service) {
    post(service, "/users", &json!({"email": ADA, "password": PASSWORD})).expect(201);
}

fn ask(service: &Service) {
    post(service, "/password-resets", &json!({"email": ADA})).expect(202);
}

/// Waits until the log has the text.
fn wait_for(service: &Service, text: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    while !service.stderr().contains(text) {
        assert!(Instant::now() < end, "{text:?} is missing in {}", service.stderr());
        std::thread::yield_now();
    }
}

/// Resets the password with the link of a mail, and returns the tokens that were in mails.
fn reset(service: &Service, server: &SmtpServer) -> [String; 2] {
    sign_up(service);
    let verification = server.next_mail();
    assert_eq!(verification.mail.to, ADA);
    let verify = verification.mail.token("verify");
    post(service, "/email-verifications", &json!({"token": verify})).expect(204);
    ask(service);
    let received = server.next_mail();
    assert_eq!((received.from.as_str(), received.mail.to.as_str()), ("no-reply@example.net", ADA));
    assert_eq!(received.mail.subject(), "Reset your password");
    assert!(received.mail.text.contains("\nhttps://posts.example.net/app/#reset="));
    let token = received.mail.token("reset");
    let confirmation = json!({"token": token, "new_password": NEW});
    post(service, "/password-resets/confirm", &confirmation).expect(204);
    post(service, "/password-resets/confirm", &confirmation).expect(403);
    let form = format!("username={ADA}&password={}", NEW.replace(' ', "+"));
    let login = service.connect().exchange(format!(
        "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    ));
    login.expect(200);
    [token, verify]
}

fn assert_log_hides(mut service: Service, secrets: &[&str]) {
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    let log = service.final_stderr();
    assert!(log.contains("password_reset"), "{log}");
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[test]
fn password_is_reset_over_smtp_with_starttls_and_a_login() {
    let (folder, certificate) = (TempDir::new().unwrap(), Certificate::generate());
    let (roots, _) = certificate.write(folder.path());
    let tls = SmtpTls::StartTls(SmtpTls::config(&certificate));
    let server = SmtpServer::start(tls, ACCEPTED);
    let url = format!("smtp://ada:canary%20password@localhost:{}", server.port());
    let service = start(folder.path(), &url, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
    first_mail_is_encrypted(&service, &server);
    let [token, verify] = reset(&service, &server);
    assert!(server.other_mails().is_empty());
    let login = "AGFkYQBjYW5hcnkgcGFzc3dvcmQ=";
    assert_log_hides(service, &[&token, &verify, "canary", login, ADA, "#reset", NEW]);
}

/// Checks the connection of the first mail.
fn first_mail_is_encrypted(service: &Service, server: &SmtpServer) {
    let account = json!({"email": "eve@example.com", "password": PASSWORD});
    post(service, "/users", &account).expect(201);
    let received = server.next_mail();
    assert!(received.is_encrypted);
    assert_eq!(received.login.as_deref(), Some("PLAIN AGFkYQBjYW5hcnkgcGFzc3dvcmQ="));
}

#[test]
fn password_is_reset_over_smtps_on_postgresql() {
    let (folder, certificate) = (TempDir::new().unwrap(), Certificate::generate());
    let (roots, _) = certificate.write(folder.path());
    let server = SmtpServer::start(SmtpTls::Implicit(SmtpTls::config(&certificate)), ACCEPTED);
    let database = Cluster::shared().database();
    let url = format!("smtps://127.0.0.1:{}", server.port());
    let others = [
        ("SSL_CERT_FILE", roots.to_str().unwrap()),
        ("DATABASE_URL", database.url()),
        ("SECRET_KEY", KEY),
    ];
    let service = start(folder.path(), &url, &others);
    let [token, verify] = reset(&service, &server);
    assert_log_hides(service, &[&token, &verify, ADA, KEY]);
}

#[test]
fn nothing_is_sent_to_a_server_without_a_trusted_certificate_or_without_starttls() {
    let certificate = Certificate::generate();
    let untrusted = SmtpTls::StartTls(SmtpTls::config(&certificate));
    for (tls, cause) in [(untrusted, "invalid peer certificate"), (SmtpTls::None, "STARTTLS")] {
        let folder = TempDir::new().unwrap();
        // Another certificate, so that the system's authorities are not read.
        let (roots, _) = Certificate::generate().write(folder.path());
        let server = SmtpServer::start(tls, ACCEPTED);
        let url = format!("smtp://ada:canary@localhost:{}", server.port());
        let service = start(folder.path(), &url, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
        sign_up(&service);
        wait_for(&service, cause);
        assert!(server.other_mails().is_empty(), "{cause}");
        assert!(!service.stderr().contains("canary"), "{}", service.stderr());
    }
}

#[test]
fn refused_recipient_is_recorded_without_the_email() {
    let folder = TempDir::new().unwrap();
    let server = SmtpServer::start(SmtpTls::None, "550 5.1.1 <{}>: no such mailbox");
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let mut service = start(folder.path(), &url, &[]);
    sign_up(&service);
    wait_for(&service, "event=\"mail_failed\"");
    let token = service.log_in(ADA);
    let events = service.connect().call("GET", "/users/me/events", &token, None).unwrap();
    let events = events.expect(200).json();
    let names = events.as_array().unwrap().iter().map(|event| event["event"].clone());
    assert!(names.into_iter().any(|name| name == "mail_failed"), "{events}");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    let log = service.final_stderr();
    assert!(log.contains("the mail server answered 550"), "{log}");
    assert!(!log.contains(ADA) && !log.contains("no such mailbox"), "{log}");
    assert_eq!(server.connections(), 1, "a permanent refusal is not repeated");
}

#[test]
fn shutdown_does_not_wait_for_another_try() {
    let folder = TempDir::new().unwrap();
    let server = SmtpServer::start(SmtpTls::None, "451 later");
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let mut service = start(folder.path(), &url, &[]);
    sign_up(&service);
    wait_for(&service, "mail not sent, another try follows");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    let log = service.final_stderr();
    assert!(log.contains("mails dropped: the service stops mails=1"), "{log}");
    assert!(!log.contains("cut off at shutdown") && log.contains("ended"), "{log}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn mails_in_progress_at_the_shutdown_are_dropped_and_counted_in_the_log() {
    let folder = TempDir::new().unwrap();
    let server = SmtpServer::start(SmtpTls::None, "");
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let mut service = start(folder.path(), &url, &[]);
    sign_up(&service);
    ask(&service);
    let end = Instant::now() + Duration::from_mins(1);
    while server.connections() < 2 {
        assert!(Instant::now() < end, "{}", service.stderr());
        std::thread::yield_now();
    }
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
    let log = service.final_stderr();
    assert_eq!(log.matches("mails dropped: the service stops mails=2").count(), 1, "{log}");
    assert!(!log.contains("cut off at shutdown") && log.contains("ended"), "{log}");
}

#[test]
fn mail_of_the_console_is_printed() {
    let folder = TempDir::new().unwrap();
    let service = start(folder.path(), "console:", &[]);
    sign_up(&service);
    wait_for(&service, "--- end of mail ---");
    let printed = service.stderr();
    assert!(printed.contains("\nTo: ada@example.com\n"), "{printed}");
    assert!(printed.contains("\nhttps://posts.example.net/app/#verify="), "{printed}");
}
