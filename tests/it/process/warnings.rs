//! Warnings at startup about insecure but accepted settings.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::support::{Certificate, Cluster, Service};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// Returns the lines of the startup log that contain the text.
fn lines_with(service: &Service, text: &str) -> Vec<String> {
    let output = service.stderr();
    output.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[test]
fn plaintext_http_beyond_localhost_is_warned_about_once() {
    let folder = TempDir::new().unwrap();
    Certificate::generate().write(folder.path());
    let tls = [("TLS_CERT", "certificate.pem"), ("TLS_KEY", "key.pem")];
    for (host, environment, is_warned) in [
        ("0.0.0.0", vec![], true),
        ("::", vec![], true),
        ("127.0.0.1", vec![], false),
        ("localhost", vec![], false),
        ("0.0.0.0", vec![("TRUSTED_PROXIES", "10.0.0.0/8")], false),
        ("0.0.0.0", vec![("TRUSTED_PROXIES", "127.0.0.1, ::1")], true),
        ("0.0.0.0", tls.to_vec(), false),
    ] {
        let environment: Vec<_> = environment.into_iter().chain([("HOST", host)]).collect();
        let service = Service::start_in(folder.path(), &environment);
        let lines = lines_with(&service, "without TLS");
        assert_eq!(lines.len(), usize::from(is_warned), "{environment:?}: {lines:?}");
        for line in lines {
            assert!(line.contains(" WARN ") && line.contains("name=\"HOST\""), "{line}");
            assert!(line.contains("set TLS_CERT and TLS_KEY"), "{line}");
        }
    }
}

/// 0.0.0.0 connects to this machine too, but the service cannot tell that it is local.
#[test]
fn plaintext_postgresql_connection_is_warned_about_once() {
    let database = Cluster::shared().database();
    let folder = TempDir::new().unwrap();
    let elsewhere = database.url().replace("tester@127.0.0.1", "tester:hunter2@0.0.0.0");
    for (url, is_warned) in [(database.url(), false), (&elsewhere, true)] {
        let environment = [("DATABASE_URL", url), ("SECRET_KEY", KEY)];
        let service = Service::start_in(folder.path(), &environment);
        service.get("/readyz").expect(200);
        let lines = lines_with(&service, "without TLS");
        assert_eq!(lines.len(), usize::from(is_warned), "{url}: {lines:?}");
        assert!(lines.iter().all(|line| line.contains("sslmode=verify-full")), "{lines:?}");
        assert!(!service.stderr().contains("hunter2"), "{}", service.stderr());
    }
}

#[test]
fn secret_file_readable_by_everyone_is_warned_about_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, KEY).unwrap();
    for (mode, is_warned) in [(0o640, false), (0o644, true)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let service = Service::start_in(folder.path(), &[("SECRET_KEY_FILE", "key")]);
        let lines = lines_with(&service, "key: everyone on this machine can access it");
        assert_eq!(lines.len(), usize::from(is_warned), "{mode:o}: {lines:?}");
        assert!(!service.stderr().contains(KEY), "{}", service.stderr());
    }
}

#[test]
fn database_that_an_upgrade_waits_for_is_warned_about_once() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let mut service = Service::command(folder.path());
    let url = format!("postgresql://ada@{}/posts", server.local_addr().unwrap());
    service.env("DATABASE_URL", url).env("SECRET_KEY", KEY);
    service.args(["serve", "--port", "0", "--upgrade"]).stderr(File::create(&log).unwrap());
    let mut service = service.spawn().unwrap();
    // Each connection ends without a response. The server reads before, so that it is not reset.
    for _ in 0..4 {
        let (mut connection, _) = server.accept().unwrap();
        assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
    }
    service.kill().unwrap();
    service.wait().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("database unreachable; retrying").count(), 1, "{log}");
}
