//! Commands that only print or check (`openapi`, `settings`, `healthcheck`, help), and invalid
//! commands.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use super::{folder, run, run_with};
use crate::support::Service;

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

#[test]
fn healthcheck_of_service_that_is_not_ready_fails() {
    let folder = folder();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for response in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", ""]
        {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    for _ in 0..3 {
        let outcome = run(folder.path(), &format!("healthcheck --port {port}")).expect(1);
        assert!(!outcome.error.is_empty());
    }
    server.join().unwrap();
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
        "--port 1 serve",
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
