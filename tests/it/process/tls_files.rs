//! The settings `TLS_CERT` and `TLS_KEY`: two files that may change while the service runs.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Certificate, Service};

const FILES: [(&str, &str); 2] = [("TLS_CERT", "certificate.pem"), ("TLS_KEY", "key.pem")];

fn start(folder: &Path, certificate: &Certificate) -> (Service, SocketAddr) {
    certificate.write(folder);
    let service = Service::start_in(folder, &FILES);
    let address = service.address().parse().unwrap();
    (service, address)
}

fn is_served(certificate: &Certificate, address: SocketAddr) -> bool {
    certificate.connect(address).and_then(|mut wire| wire.get("/readyz")).is_ok()
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool, service: &Service) {
    let end = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < end, "{}", service.stderr());
        std::thread::yield_now();
    }
}

#[test]
fn https_is_served_and_shown_in_the_banner() {
    let (folder, certificate) = (TempDir::new().unwrap(), Certificate::generate());
    let (service, address) = start(folder.path(), &certificate);
    assert!(service.url.starts_with("https://127.0.0.1:"), "{}", service.url);
    wait_until(|| service.stderr().contains(&format!("  Docs  {}/docs", service.url)), &service);
    let mut wire = certificate.connect(address).unwrap();
    let head = wire.get("/readyz").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("strict-transport-security: "), "{head}");
}

#[test]
fn healthcheck_uses_tls() {
    let (folder, certificate) = (TempDir::new().unwrap(), Certificate::generate());
    let (service, address) = start(folder.path(), &certificate);
    let healthcheck = |environment: &[(&str, &str)]| {
        let mut command = Service::command(folder.path());
        command.args(["healthcheck", "--port", &address.port().to_string()]);
        command.envs(environment.iter().copied()).stderr(Stdio::null());
        command.status().unwrap().code()
    };
    assert_eq!(healthcheck(&FILES), Some(0));
    assert_eq!(healthcheck(&[]), Some(1), "the health check succeeded without TLS");
    drop(service);
    assert_eq!(healthcheck(&FILES), Some(1));
    let plain = Service::start(&[]);
    let port = plain.address().rsplit_once(':').unwrap().1;
    let code = Service::command(folder.path())
        .args(["healthcheck", "--port", port])
        .envs(FILES)
        .stderr(Stdio::null())
        .status();
    assert_eq!(code.unwrap().code(), Some(1), "the health check accepted a service without TLS");
}

/// The service reloads the files at SIGHUP, and also without a signal.
#[test]
fn replaced_tls_files_are_used_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let [first, second, third] = [(); 3].map(|()| Certificate::generate());
    let (mut service, address) = start(folder.path(), &first);
    let mut kept = first.connect(address).unwrap();
    kept.get("/readyz").unwrap();

    second.write(folder.path());
    service.hang_up();
    wait_until(|| is_served(&second, address), &service);
    kept.get("/readyz").unwrap();

    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    service.hang_up();
    wait_until(|| service.stderr().contains("could not reload the TLS certificate"), &service);
    assert!(is_served(&second, address));

    third.write(folder.path());
    wait_until(|| is_served(&third, address), &service);
    kept.get("/readyz").unwrap();
    service.terminate();
    drop(kept);
    assert!(service.wait().success());
    let output = service.final_stderr();
    for certificate in [first, second, third] {
        let secret = certificate.key.lines().nth(1).unwrap().to_owned();
        assert!(!output.contains(&secret), "{output}");
    }
}

#[test]
fn unusable_tls_files_are_rejected_at_startup() {
    let folder = TempDir::new().unwrap();
    let (certificate, other) = (Certificate::generate(), Certificate::generate());
    certificate.write(folder.path());
    let write = |name: &str, text: &str| {
        let mut file = std::fs::File::create(folder.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write("other.pem", &other.key);
    write("garbage.pem", "no PEM");
    for (certificate, key, expected) in [
        ("certificate.pem", "", "TLS_CERT: is set without TLS_KEY; set both of them"),
        ("", "key.pem", "TLS_KEY: is set without TLS_CERT; set both of them"),
        ("none.pem", "key.pem", "TLS_CERT: the certificate none.pem cannot be read: "),
        ("certificate.pem", "none.pem", "TLS_KEY: the certificate's key none.pem cannot be read: "),
        ("certificate.pem", "other.pem", "TLS_KEY: the certificate's key is that of another"),
        ("garbage.pem", "key.pem", "TLS_CERT: the certificate is not in its file; give "),
        ("key.pem", "key.pem", "TLS_CERT: the certificate is not in its file; give "),
        ("certificate.pem", "garbage.pem", "TLS_KEY: the certificate's key is not in its file"),
        ("certificate.pem", "certificate.pem", "TLS_KEY: the certificate's key is not in its file"),
    ] {
        let output = Service::command(folder.path())
            .args(["serve", "--port", "0"])
            .envs([("TLS_CERT", certificate), ("TLS_KEY", key)])
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(
            !folder.path().join("data/posts.db").exists(),
            "the service created a database despite invalid settings"
        );
    }
}
