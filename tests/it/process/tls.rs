//! The TLS listener: versions, ciphers, HSTS, time limits and reloaded certificates.
//!
//! Not here: the settings `TLS_CERT` and `TLS_KEY`, see `tls_files.rs`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use post_api::client_limits::ClientLimits;
use post_api::server::{Limits, Tls};
use rustls::CipherSuite;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use crate::support::{Certificate, Setup, TestApp, TestServer, connections_of_a_network, limits};

const SHORT: Duration = Duration::from_millis(200);

/// The start of a handshake: a record that announces more bytes than follow.
const BEGINNING: [u8; 6] = [0x16, 3, 1, 0x02, 0, 1];

struct TlsService {
    _app: TestApp,
    server: TestServer,
    tls: Arc<Tls>,
    certificate: Certificate,
    folder: TempDir,
}

async fn serve(limits: Limits) -> TlsService {
    serve_with(limits, ClientLimits::default()).await
}

async fn serve_with(limits: Limits, client_limits: ClientLimits) -> TlsService {
    let (folder, certificate) = (TempDir::new().unwrap(), Certificate::generate());
    let (path, key) = certificate.write(folder.path());
    let tls = Arc::new(Tls::open(path, key).unwrap());
    let app = TestApp::set_up(Setup { client_limits, ..Setup::default() }).await;
    let server = TestServer::start_within(Some(Arc::clone(&tls)), app.routes(), limits);
    TlsService { _app: app, server, tls, certificate, folder }
}

fn assert_serves(service: &TlsService) {
    let head = service.certificate.connect(service.server.address).unwrap().get("/livez").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

/// Reads until the service closes the connection, and fails if the connection stays open.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection stays open");
    }
    rest
}

#[tokio::test]
async fn http_1_is_served_over_both_tls_versions() {
    let service = serve(Limits::default()).await;
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let mut wire =
            service.certificate.connect_with_versions(service.server.address, &[version]).unwrap();
        assert_eq!(wire.negotiated(), ("http/1.1".to_owned(), name.to_owned()));
        for _ in 0..3 {
            let head = wire.get("/livez").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
    }
}

/// The handshake began before the shutdown, so the client could not know of it.
#[tokio::test]
async fn handshake_and_first_request_are_served_although_the_service_shuts_down() {
    const LONG: Duration = Duration::from_hours(1);
    let limits = limits(|timeouts| {
        (timeouts.head, timeouts.first_head_at_shutdown) = (LONG, LONG);
    });
    let TlsService { server, certificate, .. } = serve(limits).await;
    let address = server.address;
    let stream = TcpStream::connect(address).unwrap();
    // The service accepts connections in order, so it has accepted `stream`.
    let mut used = certificate.connect(address).unwrap();
    used.get("/livez").unwrap();
    let server = std::thread::spawn(move || server.end());
    // The shutdown closes the idle connection.
    while used.get("/livez").is_ok() {}
    let head = certificate.connect_over(stream).unwrap().get("/livez").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    server.join().unwrap();
}

/// The service prefers AES-256 if the client supports it, in any order of the client's list.
#[tokio::test]
async fn cipher_order_of_the_server_wins() {
    let service = serve(Limits::default()).await;
    let ours = rustls::crypto::ring::default_provider().cipher_suites;
    let theirs: Vec<_> = ours.iter().copied().rev().collect();
    for (version, expected) in [
        (&TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        (&TLS13, CipherSuite::TLS13_AES_256_GCM_SHA384),
    ] {
        for order in [&ours, &theirs] {
            let address = service.server.address;
            let wire =
                service.certificate.connect_with_ciphers(address, order.clone(), version).unwrap();
            assert_eq!(wire.cipher(), expected, "{order:?}");
        }
    }
}

#[tokio::test]
async fn newer_tls_version_is_negotiated() {
    let service = serve(Limits::default()).await;
    for offered in [[&TLS12, &TLS13], [&TLS13, &TLS12]] {
        let wire =
            service.certificate.connect_with_versions(service.server.address, &offered).unwrap();
        assert_eq!(wire.negotiated().1, "TLSv1_3");
    }
}

#[tokio::test]
async fn http_2_is_served_if_negotiated() {
    let service = serve(Limits::default()).await;
    let connector = TlsConnector::from(service.certificate.client("h2", rustls::DEFAULT_VERSIONS));
    let stream = tokio::net::TcpStream::connect(service.server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (path, status) in [("/livez", 200), ("/posts", 401)] {
        let request =
            axum::http::Request::get(format!("https://localhost{path}")).body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["strict-transport-security"],
            "max-age=63072000; includeSubDomains"
        );
    }
}

/// Without its own TLS the service cannot know whether browsers can reach it over HTTPS.
#[tokio::test]
async fn hsts_is_sent_only_over_tls() {
    let service = serve(Limits::default()).await;
    let expected = "strict-transport-security: max-age=63072000; includeSubDomains";
    for path in ["/livez", "/posts", "/nowhere"] {
        let head = service.certificate.connect(service.server.address).unwrap().get(path).unwrap();
        assert_eq!(head.lines().filter(|line| *line == expected).count(), 1, "{head}");
    }
    let app = TestApp::start().await;
    let plain = TestServer::start(app.routes(), Limits::default());
    for path in ["/livez", "/posts", "/nowhere"] {
        let response = plain.connect().call("GET", path, "", None).unwrap();
        assert_eq!(response.header("strict-transport-security"), "", "{path}");
    }
}

#[tokio::test]
async fn plaintext_request_to_tls_port_is_closed() {
    let service = serve(Limits::default()).await;
    for request in
        ["GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(service.server.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let response = rest(&mut stream);
        // The service sends at most a TLS alert.
        assert!(response.len() <= 7, "{response:?}");
    }
    assert_serves(&service);
}

#[tokio::test]
async fn slow_handshake_is_cut_off_and_releases_its_permit() {
    let limits = limits(|timeouts| timeouts.head = SHORT);
    let service = serve_with(limits, connections_of_a_network(1)).await;
    for beginning in [&[], BEGINNING.as_slice()] {
        let mut slow = connect_with_permit(&service);
        slow.write_all(beginning).unwrap();
        assert_eq!(rest(&mut slow), [0; 0]);
    }
    // Single bytes do not extend the time limit.
    let mut slow = connect_with_permit(&service);
    slow.write_all(&BEGINNING).unwrap();
    let mut bytes = 0;
    while slow.write_all(&[0]).is_ok() {
        std::thread::sleep(SHORT / 20);
        bytes += 1;
        assert!(bytes < 500, "the connection stays open");
    }
    wait_for_service(&service);
}

/// A connection holds its permit even before its handshake starts.
#[tokio::test]
async fn handshake_holds_a_connection_permit() {
    let service = serve_with(Limits::default(), connections_of_a_network(1)).await;
    let slow = TcpStream::connect(service.server.address).unwrap();
    let mut next = TcpStream::connect(service.server.address).unwrap();
    assert_eq!(rest(&mut next), [0; 0]);
    assert!(service.certificate.connect(service.server.address).is_err());
    drop(slow);
    wait_for_service(&service);
}

/// The time limit of a response also holds for TLS connections.
#[tokio::test]
async fn unread_response_releases_its_connection_permit() {
    const LARGE: &str = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let limits = limits(|timeouts| timeouts.response = SHORT);
    let service = serve_with(limits, connections_of_a_network(1)).await;
    let mut wire = service.certificate.connect(service.server.address).unwrap();
    wire.send(&LARGE.repeat(20)).unwrap();
    wait_for_service(&service);
    drop(wire);
}

/// Only requests in flight delay the shutdown, as without TLS.
#[tokio::test]
async fn idle_connections_and_handshakes_do_not_delay_shutdown() {
    let service = serve(Limits::default()).await;
    let mut idle = service.certificate.connect(service.server.address).unwrap();
    idle.get("/livez").unwrap();
    let slow = TcpStream::connect(service.server.address).unwrap();
    let began = Instant::now();
    service.server.end();
    assert!(
        began.elapsed() < Limits::default().drain_timeout,
        "shutdown waited for idle connections"
    );
    assert!(idle.get("/livez").is_err());
    drop(slow);
}

/// Returns a connection that holds the only permit. The service closes connections without a permit
/// at once.
fn connect_with_permit(service: &TlsService) -> TcpStream {
    wait_for_service(service);
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let mut stream = TcpStream::connect(service.server.address).unwrap();
        stream.set_read_timeout(Some(SHORT / 10)).unwrap();
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return stream,
            _ => assert!(Instant::now() < end, "no permit is free"),
        }
    }
}

fn wait_for_service(service: &TlsService) {
    let end = Instant::now() + Duration::from_mins(1);
    while !is_served(&service.certificate, service.server.address) {
        assert!(Instant::now() < end, "the permit is never released");
    }
}

fn is_served(certificate: &Certificate, address: SocketAddr) -> bool {
    certificate.connect(address).and_then(|mut wire| wire.get("/livez")).is_ok()
}

#[tokio::test]
async fn reloaded_certificate_is_used_without_closing_connections() {
    let service = serve(Limits::default()).await;
    let address = service.server.address;
    let mut kept = service.certificate.connect(address).unwrap();
    kept.get("/livez").unwrap();
    assert_unchanged(&service);
    let other = Certificate::generate();
    assert!(!is_served(&other, address));

    other.write(service.folder.path());
    service.tls.reload_if_changed().expect("the files have changed").unwrap();
    assert_unchanged(&service);
    assert!(is_served(&other, address) && !is_served(&service.certificate, address));
    kept.get("/livez").unwrap();
}

#[tokio::test]
async fn invalid_certificate_files_keep_the_old_pair() {
    let service = serve(Limits::default()).await;
    let (other, path) = (Certificate::generate(), service.folder.path());
    let (certificate, key) = (path.join("certificate.pem"), path.join("key.pem"));
    for (file, text, expected) in [
        (&certificate, other.pem.as_str(), "the certificate's key is that of another certificate"),
        (&key, other.key.as_str(), "the certificate's key is that of another certificate"),
        (&certificate, "", "the certificate is not in its file"),
        (&certificate, "-----BEGIN CERTIFICATE-----", "the certificate is no PEM"),
        (&key, "no key", "the certificate's key is not in its file"),
    ] {
        service.certificate.write(path);
        std::fs::write(file, text).unwrap();
        let error = service.tls.reload_if_changed().expect(expected).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert_unchanged(&service);
        assert_serves(&service);
    }
    service.certificate.write(path);
    service.tls.reload_if_changed().expect("the files have changed").unwrap();
    assert_serves(&service);
}

/// Each way is reported once, and the first check after it reports success, even if the content is
/// that of before.
#[tokio::test]
async fn unreadable_certificate_files_keep_the_old_pair_and_are_reported_once() {
    let service = serve(Limits::default()).await;
    let path = service.folder.path();
    let (certificate, key) = (path.join("certificate.pem"), path.join("key.pem"));
    let is_missing = |file: &Path| std::fs::remove_file(file).unwrap();
    let is_folder = |file: &Path| {
        std::fs::remove_file(file).unwrap();
        std::fs::create_dir(file).unwrap();
    };
    let is_dangling = |file: &Path| {
        std::fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("nowhere", file).unwrap();
    };
    let ways: [&dyn Fn(&Path); 3] = [&is_missing, &is_folder, &is_dangling];
    for (file, name) in [(&certificate, "the certificate "), (&key, "the certificate's key ")] {
        for (number, make_unreadable) in ways.iter().enumerate() {
            make_unreadable(file);
            let error = service.tls.reload_if_changed().expect(name).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains("cannot be read"), "{error}");
            assert_unchanged(&service);
            assert_eq!(service.tls.reload().unwrap_err().to_string(), error, "as at SIGHUP");
            assert_unchanged(&service);
            assert_serves(&service);
            let _ = std::fs::remove_dir(file);
            let _ = std::fs::remove_file(file);
            service.certificate.write(path);
            service.tls.reload_if_changed().unwrap_or_else(|| panic!("{number}")).unwrap();
            assert_unchanged(&service);
        }
    }
    assert_serves(&service);
}

fn assert_unchanged(service: &TlsService) {
    assert!(service.tls.reload_if_changed().is_none(), "the files are read as new twice");
}
