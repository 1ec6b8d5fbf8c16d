//! Commands that only print or check (`openapi`, `settings`, `healthcheck`, help), and invalid
//! commands.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use super::{folder, run, run_with};
use crate::support::{Certificate, Service};

/// Responses of a program that is not ready or is not the service, and what the check says.
const RESPONSES: [(&str, &str); 5] = [
    ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "503 Service Unavailable"),
    ("HTTP/1.1 404 Not Found\r\n\r\n\x1b[31mno such page\n", "404 Not Found [31mno such page"),
    ("HTTP/1.0 500\r\n\r\n", "500"),
    ("SSH-2.0-OpenSSH_9.9\r\n", "the response is not HTTP: another program uses the port"),
    ("", "the connection was closed without a response"),
];

#[test]
fn openapi_prints_the_served_document() {
    let service = Service::start(&[]);
    let printed = run(service.path(), "openapi").expect(0).output;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert!(printed["openapi"].as_str().unwrap().starts_with("3."), "{}", printed["openapi"]);
    assert_eq!(printed, service.get("/openapi.json").json());
}

#[test]
fn settings_are_shown_with_secrets_masked() {
    let folder = folder();
    let secret = "f3b8a1d27c5e94f0863b7d1e2a5c9f40";
    std::fs::write(folder.path().join(".env"), "PORT=1234\nDATABASE_PASSWORD=hunter2\n").unwrap();
    let environment =
        [("SECRET_KEY", secret), ("HOST", "::1"), ("DATABASE_URL", "sqlite:hunter2.db")];
    let outcome = run_with(folder.path(), "settings", &environment).expect(0);
    for line in ["PORT=1234", "HOST=::1", "SECRET_KEY=**********", "DATABASE_PASSWORD=**********"] {
        assert!(outcome.output.lines().any(|shown| shown == line), "{line}: {}", outcome.output);
    }
    assert!(outcome.output.contains("\nALGORITHM=HS256  # default\n"), "{}", outcome.output);
    for hidden in [secret, "hunter2"] {
        assert!(!outcome.output.contains(hidden), "{}", outcome.output);
    }

    let outcome = run_with(folder.path(), "settings", &[("SECRET_KEY", "hunter2"), ("DOCS", "x")]);
    let outcome = outcome.expect(2);
    assert!(outcome.output.contains("DOCS=x\n"), "the invalid settings are not shown");
    assert!(outcome.error.contains("\n  DOCS: \"x\" cannot be used; give on or off\n"));
    assert!(!format!("{}{}", outcome.output, outcome.error).contains("hunter2"));
}

/// The secret from the file is in effect, so it must not look like a default.
#[test]
fn secret_from_a_file_is_shown_masked() {
    let folder = folder();
    std::fs::write(folder.path().join("key"), "f3b8a1d27c5e94f0863b7d1e2a5c9f40").unwrap();
    let outcome = run_with(folder.path(), "settings", &[("SECRET_KEY_FILE", "key")]).expect(0);
    assert!(outcome.output.contains("\nSECRET_KEY=**********\n"), "{}", outcome.output);
}

#[test]
fn healthcheck_reports_by_exit_code() {
    let service = Service::start(&[]);
    let port = service.address().rsplit_once(':').unwrap().1.to_owned();
    run(service.path(), &format!("healthcheck --port {port}")).expect(0);
    run_with(service.path(), "healthcheck", &[("PORT", &port), ("HOST", "0.0.0.0")]).expect(0);

    // The system never assigns port 1 by chance.
    let outcome = run(service.path(), "healthcheck --port 1").expect(1);
    assert!(outcome.error.contains("does not answer"), "{}", outcome.error);
    run(service.path(), "healthcheck --port x").expect(2);
}

/// Each byte comes within the timeout of a read.
#[test]
fn healthcheck_ends_if_another_program_answers_byte_by_byte() {
    let folder = folder();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        // Until the command has left.
        while connection.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let refused = run(folder.path(), &format!("healthcheck --port {port}")).expect(1);
    assert!(refused.error.contains("is not HTTP"), "{}", refused.error);
    other.join().unwrap();
}

#[test]
fn healthcheck_of_service_that_is_not_ready_fails() {
    let folder = folder();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for response in RESPONSES.map(|(response, _)| response) {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    for (_, problem) in RESPONSES {
        let outcome = run(folder.path(), &format!("healthcheck --port {port}")).expect(1);
        assert_eq!(outcome.error, format!("http://127.0.0.1:{port}/readyz: {problem}\n"));
    }
    server.join().unwrap();
}

#[test]
fn healthcheck_names_the_reason_of_a_service_that_is_not_ready() {
    let folder = folder();
    // Port 1 refuses connections, so the database is unreachable.
    let environment = [
        ("DATABASE_URL", "postgresql://ada@127.0.0.1:1/posts"),
        ("SECRET_KEY", "f3b8a1d27c5e94f0863b7d1e2a5c9f40"),
    ];
    let service = Service::start_in(folder.path(), &environment);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    let outcome = run(folder.path(), &format!("healthcheck --port {port}")).expect(1);
    let reason = service.get("/readyz").expect(503).text().trim().to_owned();
    let expected = format!("{}/readyz: 503 Service Unavailable {reason}\n", service.url);
    assert_eq!(outcome.error, expected);
}

#[test]
fn healthcheck_with_the_wrong_scheme_names_the_settings() {
    let folder = folder();
    Certificate::generate().write(folder.path());
    let tls = [("TLS_CERT", "certificate.pem"), ("TLS_KEY", "key.pem")];
    for (of_service, of_check, problem) in [
        (tls.as_slice(), [].as_slice(), "the service speaks HTTPS: set TLS_CERT and TLS_KEY"),
        (&[], &tls, "the service speaks HTTP: set TLS_CERT and TLS_KEY only if"),
    ] {
        let service = Service::start_in(folder.path(), of_service);
        let (_, port) = service.url.rsplit_once(':').unwrap();
        let line = format!("healthcheck --port {port}");
        let outcome = run_with(folder.path(), &line, of_check).expect(1);
        let scheme = if of_check.is_empty() { "http" } else { "https" };
        let url = format!("{scheme}://127.0.0.1:{port}/readyz: ");
        assert!(outcome.error.starts_with(&url), "{}", outcome.error);
        assert!(outcome.error.contains(problem), "{}", outcome.error);
        run_with(folder.path(), &line, of_service).expect(0);
    }
}

/// A health check in a container may have no access to the secrets of the service.
#[test]
fn healthcheck_reads_only_the_settings_of_the_listener() {
    let service = Service::start(&[]);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    let line = format!("healthcheck --port {port}");
    for pair in [("SECRET_KEY", "weak"), ("SECRET_KEY_FILE", "missing"), ("DATABASE_URL", "x")] {
        run_with(service.path(), &line, &[pair]).expect(0);
    }
}

#[test]
fn unknown_command_exits_with_2() {
    let folder = folder();
    let words = [
        "nonsense",
        "db",
        "db nonsense",
        "--nonsense",
        "serve nonsense",
        "serve --port",
        "openapi --port 1",
        "db upgrade 1 2",
    ];
    for line in words {
        let outcome = run(folder.path(), line).expect(2);
        assert!(outcome.error.contains("Usage") || outcome.error.contains("error"), "{line}");
        assert_eq!(outcome.output, "", "{line}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("data")).unwrap().count(), 0);
}

#[test]
fn help_and_version_exit_with_0() {
    let folder = folder();
    let help = run(folder.path(), "--help").expect(0).output;
    for command in ["serve", "db", "secret", "openapi", "settings", "healthcheck"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    let version = run(folder.path(), "--version").expect(0).output;
    assert_eq!(version, format!("post-api {}\n", env!("CARGO_PKG_VERSION")));
}
