//! The checks of the settings, and of the files and the port that they name.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::SignedDuration;
use post_api::clock::{Clock as _, SystemClock};

use super::doctor;
use crate::cli::folder;
use crate::support::{Certificate, METRICS, Metrics, Service};

const WEAK: &str = "short-but-mixed-7";

type Settings<'a> = &'a [(&'a str, &'a str)];

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn faults_of_settings_are_reported_by_their_check() {
    let postgres = ("DATABASE_URL", "postgresql://ada@db.invalid/posts");
    let cases: [(Settings<'_>, &str, &str, &str); 12] = [
        (&[("PORT", "x"), ("DOCS", "y")], "settings", "FAIL", "PORT: \"x\" cannot be used"),
        (&[("PORT", "x"), ("DOCS", "y")], "settings", "FAIL", "DOCS: give on or off"),
        (&[("SECRET_KEY", "short")], "settings", "FAIL", "SECRET_KEY: "),
        (
            &[
                ("SMTP_URL", "console:"),
                ("MAIL_FROM", "no-reply@example.org"),
                ("PUBLIC_URL", "https://example.org"),
                ("PAGE", "off"),
            ],
            "settings",
            "warn",
            "PUBLIC_URL: is where links in mails lead",
        ),
        (&[("PASSWORD_MIN_LENGHT", "9")], "settings", "warn", "did you mean PASSWORD_MIN_LENGTH?"),
        (&[postgres], "secret", "FAIL", "SECRET_KEY: is missing"),
        (&[("COMPAT", "reference"), ("SECRET_KEY", WEAK)], "secret", "warn", "SECRET_KEY: "),
        (&[postgres], "database-tls", "warn", "allows a connection without TLS"),
        (&[("HOST", "0.0.0.0")], "proxies", "warn", "connect without TLS"),
        (&[("HOST", "0.0.0.0")], "cors", "warn", "CORS_ORIGINS is *"),
        (&[("HOST", "no-such-host.invalid")], "proxies", "skipped", "HOST has no IP address"),
        (&[("CLIENT_MEMORY_MIB", "1048576")], "memory", "warn", "lower CLIENT_MEMORY_MIB"),
    ];
    let folder = folder();
    for (settings, check, status, text) in cases {
        doctor(folder.path(), "", settings).expect(check, status, text);
    }
    let cured = [
        ("HOST", "0.0.0.0"),
        ("TRUSTED_PROXIES", "192.0.2.1"),
        ("CORS_ORIGINS", "https://posts.example.org"),
    ];
    let report = doctor(folder.path(), "", &cured);
    report.expect("proxies", "ok", "a trusted proxy").expect("cors", "ok", "only listed origins");
}

#[test]
fn checks_that_need_unusable_settings_are_skipped() {
    let folder = folder();
    for (arguments, settings) in [("", [("PORT", "x")]), ("--env-file none", [("PORT", "0")])] {
        let report = doctor(folder.path(), arguments, &settings);
        assert_eq!(report.code, 1, "{}", report.output);
        let (first, others) = report.lines.split_first().unwrap();
        assert_eq!((first.check.as_str(), first.status.as_str()), ("settings", "FAIL"));
        assert!(others.len() > 10 && others.iter().all(|line| line.status == "skipped"));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = folder();
    for line in ["doctor more", "doctor --no-such-flag", "doctor --json=yes"] {
        crate::cli::run(folder.path(), line).expect(2);
    }
}

#[test]
fn lines_of_the_env_file_that_are_skipped_are_reported() {
    let folder = folder();
    std::fs::write(folder.path().join(".env"), "OTHER=1\nDOCS='on\n").unwrap();
    let report = doctor(folder.path(), "", &[]);
    report.expect("settings", "warn", "line 1 sets an unknown name");
    report.expect("settings", "warn", "line 2 cannot be parsed");
}

#[test]
fn password_on_the_command_line_is_reported() {
    let folder = folder();
    let url = "--database-url postgresql://ada:hunter2@127.0.0.1:1/posts";
    let report = doctor(folder.path(), url, &[("SECRET_KEY", "f3b8a1d27c5e94f0863b7d1e2a5c9f40")]);
    report.expect("settings", "warn", "everyone on this machine can read");
    assert!(!report.output.contains("hunter2"), "{}", report.output);
}

#[test]
fn keys_that_are_exposed_or_damaged_are_reported() {
    let service = Service::start(&[]);
    let keys = service.path().join("data/keys.json");
    let text = std::fs::read(&keys).unwrap();
    doctor(service.path(), "", &[]).expect("secret", "ok", "is strong");
    for (mode, status, cure) in [(0o644, "FAIL", "secret rotate"), (0o640, "warn", "mode 0600")] {
        set_mode(&keys, mode);
        doctor(service.path(), "", &[]).expect("secret", status, cure);
    }
    set_mode(&keys, 0o600);
    std::fs::write(&keys, &text[..text.len() / 2]).unwrap();
    doctor(service.path(), "", &[]).expect("secret", "FAIL", "does not hold keys in JSON");
}

/// The start could neither read nor create it.
#[test]
fn link_to_missing_keys_is_reported() {
    let folder = folder();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("data/keys.json")).unwrap();
    doctor(folder.path(), "", &[]).expect("secret", "FAIL", "is a link to a file that does not");
}

#[test]
fn address_of_the_metrics_is_free_or_has_those_of_a_service() {
    let service = Service::start(&[METRICS]);
    let used = Metrics::address(&service);
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = other.local_addr().unwrap().to_string();
    // Another program accepts, and never answers.
    for (address, status, text) in [
        (used.as_str(), "ok", "a service has its metrics"),
        ("127.0.0.1:0", "ok", "is free"),
        ("0.0.0.0:0", "warn", "read the metrics"),
        ("192.0.2.1:9464", "FAIL", "give an IP address of this machine"),
        (taken.as_str(), "FAIL", "stop the other program"),
    ] {
        let report = doctor(service.path(), "", &[("METRICS_ADDRESS", address)]);
        report.expect("metrics-address", status, text);
    }
}

#[test]
fn exposed_files_are_reported() {
    let service = Service::start(&[]);
    let path = service.path();
    let certificate = Certificate::generate();
    certificate.write(path);
    set_mode(&path.join("key.pem"), 0o600);
    std::fs::write(path.join(".env"), "SECRET_KEY=f3b8a1d27c5e94f0863b7d1e2a5c9f40\n").unwrap();
    set_mode(&path.join(".env"), 0o600);
    let tls = [("TLS_CERT", "certificate.pem"), ("TLS_KEY", "key.pem")];
    doctor(path, "", &tls).expect("file-access", "ok", "");
    for (name, mode, sound) in [
        ("data/posts.db", 0o644, 0o600),
        ("data/posts.db-wal", 0o604, 0o600),
        (".env", 0o644, 0o600),
        ("key.pem", 0o644, 0o600),
        ("data", 0o777, 0o700),
    ] {
        set_mode(&path.join(name), mode);
        doctor(path, "", &tls).expect("file-access", "warn", &format!("{name}: everyone"));
        set_mode(&path.join(name), sound);
    }
}

#[test]
fn faults_of_the_certificate_are_reported() {
    let folder = folder();
    let path = folder.path();
    let tls = [("TLS_CERT", "certificate.pem"), ("TLS_KEY", "key.pem")];
    doctor(path, "", &tls).expect("tls", "FAIL", "certificate.pem cannot be read");
    let certificate = Certificate::generate();
    certificate.write(path);
    doctor(path, "", &tls).expect("tls", "ok", "the certificate of localhost, 127.0.0.1 ends");
    std::fs::write(path.join("key.pem"), Certificate::generate().key).unwrap();
    doctor(path, "", &tls).expect("tls", "FAIL", "is that of another certificate");

    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["posts.example.org".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = params.self_signed(&key).unwrap();
    std::fs::write(path.join("certificate.pem"), expired.pem()).unwrap();
    std::fs::write(path.join("key.pem"), key.serialize_pem()).unwrap();
    doctor(path, "", &tls).expect("tls", "FAIL", "2020-01-01T00:00:00Z: it has ended");
    std::fs::write(path.join("certificate.pem"), "no PEM").unwrap();
    doctor(path, "", &tls).expect("tls", "FAIL", "is not in its file");
}

#[test]
fn port_is_free_or_used_by_the_service() {
    let folder = folder();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let settings = [("PORT", port.as_str())];
    let answers = [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
        ("HTTP/1.1 200 OK\r\n\r\nwelcome", "another program answers"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "the response is not HTTP"),
    ];
    let server = std::thread::spawn(move || {
        for (answer, _) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for (_, text) in answers {
        doctor(folder.path(), "", &settings).expect("port", "FAIL", text);
    }
    server.join().unwrap();
    // An address for documentation, which no machine has.
    let elsewhere = [("HOST", "192.0.2.1")];
    doctor(folder.path(), "", &elsewhere).expect(
        "port",
        "FAIL",
        "give an IP address of this machine",
    );

    let service = Service::start(&[]);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    for host in ["127.0.0.1", "0.0.0.0"] {
        let settings = [("PORT", port), ("HOST", host)];
        doctor(service.path(), "", &settings).expect("port", "ok", "the service is ready");
    }
}

#[test]
fn port_of_a_service_with_tls_is_asked_over_tls() {
    let folder = folder();
    Certificate::generate().write(folder.path());
    let tls = [("TLS_CERT", "certificate.pem"), ("TLS_KEY", "key.pem")];
    let service = Service::start_in(folder.path(), &tls);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    let report = doctor(folder.path(), "", &[tls[0], tls[1], ("PORT", port)]);
    report.expect("port", "ok", "the service is ready");
    report.expect("tls", "ok", "the certificate of localhost");
    let report = doctor(folder.path(), "", &[("PORT", port)]);
    report.expect("port", "FAIL", "the service speaks HTTPS: set TLS_CERT and TLS_KEY");
}

#[test]
fn service_that_is_not_ready_is_reported() {
    let folder = folder();
    let settings = [
        ("DATABASE_URL", "postgresql://ada@127.0.0.1:1/posts"),
        ("SECRET_KEY", "f3b8a1d27c5e94f0863b7d1e2a5c9f40"),
    ];
    let service = Service::start_in(folder.path(), &settings);
    let (_, port) = service.url.rsplit_once(':').unwrap();
    let settings = [settings[0], settings[1], ("PORT", port)];
    let report = doctor(folder.path(), "", &settings);
    report.expect("port", "warn", "not ready: the database is out of reach");
    report.expect("database", "FAIL", "");
}

#[test]
fn missing_and_old_backups_are_reported() {
    let folder = folder();
    let backups = folder.path().join("backups");
    let settings = [("BACKUP_DIR", "backups"), ("BACKUP_EVERY", "24h")];
    doctor(folder.path(), "", &[]).expect("backups", "ok", "BACKUP_DIR is not set");
    doctor(folder.path(), "", &settings).expect("backups", "warn", "there is no folder backups");
    std::fs::create_dir(&backups).unwrap();
    doctor(folder.path(), "", &settings).expect("backups", "warn", "has no backup yet");
    std::fs::write(backups.join("posts-20200101T000000Z.db"), "").unwrap();
    doctor(folder.path(), "", &settings).expect("backups", "FAIL", "older than two BACKUP_EVERY");
    let yesterday = SystemClock.now() - SignedDuration::from_hours(25);
    let name = yesterday.strftime("posts-%Y%m%dT%H%M%SZ.db").to_string();
    std::fs::write(backups.join(name), "").unwrap();
    doctor(folder.path(), "", &settings).expect("backups", "ok", "the newest backup");
    std::fs::remove_dir_all(&backups).unwrap();
    std::fs::write(&backups, "").unwrap();
    doctor(folder.path(), "", &settings).expect("backups", "FAIL", "cannot be read");
}
