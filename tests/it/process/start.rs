//! Startup: without any configuration, on existing data, and with invalid settings.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PASSWORD, Service};

const GOOD_SECRET: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";

/// Runs `serve`, which must fail. Returns its exit code and output.
fn refused(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let Output { status, stderr, .. } = Service::command(folder)
        .args(arguments)
        .envs(environment.iter().copied())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn first_start_creates_private_files() {
    let service = Service::start(&[]);
    let data = service.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for file in ["keys.json", "posts.db", "posts.db-wal", "posts.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert!(data.join("posts.db").is_file());
    assert!(service.secret().len() >= 64);
    assert_eq!(service.get("/readyz").status, 200);
}

/// The runtime names the threads that serve requests `tokio-…`.
#[cfg(target_os = "linux")]
#[test]
fn server_threads_setting_sets_the_thread_count() {
    for (environment, expected) in
        [(vec![("SERVER_THREADS", "3")], 3), (vec![], post_api::server::server_threads())]
    {
        let service = Service::start(&environment);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", service.process_id())).unwrap();
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        let serving =
            names.filter(|name| name.as_ref().is_ok_and(|name| name.starts_with("tokio-")));
        assert_eq!(serving.count(), expected);
    }
}

#[test]
fn restart_keeps_the_secret_and_the_data() {
    let folder = TempDir::new().unwrap();
    let mut first = Service::start_in(folder.path(), &[]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    let mut wire = first.connect();
    wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let form = format!("username=ada@example.com&password={}", PASSWORD.replace(' ', "+"));
    let response = wire.exchange(format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    ));
    let token = response.expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let secret = first.secret();
    first.terminate();
    assert!(first.wait().success());

    let second = Service::start_in(folder.path(), &[]);
    assert_eq!(second.secret(), secret);
    let me = second.connect().call("GET", "/users/me", &token, None).unwrap().expect(200);
    assert_eq!(me.json()["email"], "ada@example.com");
}

#[test]
fn banner_shows_the_docs_url_and_the_data_path() {
    let service = Service::start(&[]);
    // The service writes the banner at once, so the URL is already there.
    let lines: Vec<String> = wait_for(&service, "  Data  ").lines().map(str::to_owned).collect();
    assert!(lines.contains(&format!("  Docs  {}/docs", service.url)), "{lines:?}");
    assert!(lines.contains(&"  Data  ./data/posts.db".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("Post Management API 0.")), "{lines:?}");
}

/// Returns the output of the service once it contains the text.
fn wait_for(service: &Service, text: &str) -> String {
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let output = service.stderr();
        if output.contains(text) {
            return output;
        }
        assert!(std::time::Instant::now() < end, "no {text:?} in {output:?}");
        std::thread::yield_now();
    }
}

#[test]
fn json_log_is_one_object_per_line_without_a_banner() {
    let mut service = Service::start(&[("LOG_FORMAT", "json"), ("ACCESS_LOG", "on")]);
    assert_eq!(service.get("/livez?search=private").status, 200);
    service.terminate();
    assert!(service.wait().success());
    let output = service.final_stderr();
    let events: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let access = events.iter().find(|event| event["target"] == "access").expect("an access line");
    assert_eq!(access["path"], "/livez");
    assert_eq!(access["status"], 200);
    assert_eq!(access["client"], "127.0.0.1");
    assert!(events.iter().any(|event| event["message"] == "ended"), "{output}");
}

/// The log ignores the time zone of the process.
#[test]
fn log_times_are_in_utc() {
    for format in ["json", "text"] {
        let before = now();
        let mut service =
            Service::start(&[("LOG_FORMAT", format), ("ACCESS_LOG", "on"), ("TZ", "Asia/Tokyo")]);
        assert_eq!(service.get("/livez").status, 200);
        service.terminate();
        assert!(service.wait().success());
        let output = service.final_stderr();
        let line = output.lines().find(|line| line.contains("/livez")).unwrap();
        let time = match format {
            "json" => {
                let event: Value = serde_json::from_str(line).unwrap();
                event["timestamp"].as_str().unwrap().to_owned()
            }
            _ => line.split(' ').next().unwrap().to_owned(),
        };
        assert!(time.ends_with('Z'), "{line}");
        let time: Timestamp = time.parse().unwrap();
        assert!(before <= time && time <= now(), "{line}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the service is another process and uses the system clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

#[test]
fn port_in_use_is_reported() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = TempDir::new().unwrap();
    let (code, output) = refused(folder.path(), &["--port", &port], &[]);
    assert_eq!(code, 2, "{output}");
    let expected = format!("\n  PORT: {port} cannot be used: cannot listen on 127.0.0.1:{port}: ");
    assert!(output.contains(&expected), "{output}");
    assert!(output.contains("give another port"), "{output}");
}

#[test]
fn invalid_settings_are_reported_together_without_secrets() {
    let folder = TempDir::new().unwrap();
    let bad = [
        ("PORT", "eighty"),
        ("SECRET_KEY", "hunter2-hunter2"),
        ("DATABASE_URL", "mysql://root:hunter2@db/posts"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("DOCS", "perhaps"),
        ("COMPAT", "yes"),
        ("LOG_LEVEL", "loud"),
    ];
    let (code, output) = refused(folder.path(), &[], &bad);
    assert_eq!(code, 2, "{output}");
    assert!(output.starts_with("error: the settings cannot be used\n"), "{output}");
    assert_eq!(output.lines().count(), 1 + bad.len(), "{output}");
    for (name, _) in bad {
        assert!(output.contains(&format!("\n  {name}: ")), "{name} is not in {output}");
    }
    assert!(!output.contains("hunter2"), "{output}");
    assert!(
        !folder.path().join("data").exists(),
        "the service created files despite invalid settings"
    );
}

/// Returns the setting `ROOT_PATH` as the document shows it.
fn root_path(service: &Service) -> String {
    let document = service.get("/openapi.json").json();
    document["servers"][0]["url"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn flags_override_the_environment_and_the_environment_the_file() {
    let folder = TempDir::new().unwrap();
    let file =
        "ROOT_PATH=/file\nCORS_ORIGINS=https://file.example\nHOST=256.0.0.1\nDATA_DIR=kept\n";
    std::fs::write(folder.path().join(".env"), file).unwrap();
    let mut command = Service::command(folder.path());
    command
        .args(["--port", "0", "--host", "127.0.0.1", "--database-url", "sqlite:flag.db"])
        .envs([("PORT", "1"), ("ROOT_PATH", "/environment"), ("database_url", "sqlite:env.db")]);
    let service = Service::run(&mut command, folder.path());
    assert_eq!(root_path(&service), "/environment");
    assert!(folder.path().join("flag.db").is_file());
    assert!(!folder.path().join("env.db").exists());
    assert!(folder.path().join("kept/keys.json").is_file());
    let response = service
        .connect()
        .exchange("GET /livez HTTP/1.1\r\nhost: localhost\r\norigin: https://file.example\r\n\r\n");
    assert_eq!(response.header("access-control-allow-origin"), "https://file.example");
}

#[test]
fn env_file_flag_requires_an_existing_file() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "PORT=nonsense\n").unwrap();
    std::fs::write(folder.path().join("other.env"), "ROOT_PATH=/other\nSMTP_HOST=mail\n").unwrap();
    let mut command = Service::command(folder.path());
    command.args(["--env-file", "other.env", "--port", "0"]);
    let service = Service::run(&mut command, folder.path());
    assert_eq!(root_path(&service), "/other");
    let warning = "a line of the env file sets an unknown name line=2";
    assert!(service.stderr().contains(warning), "{}", service.stderr());

    let (code, output) = refused(folder.path(), &["--env-file", "missing.env"], &[]);
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("--env-file: missing.env cannot be read"), "{output}");
}

#[test]
fn secret_from_a_file_is_used() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("key"), format!("{GOOD_SECRET}\n")).unwrap();
    let service = Service::start_in(folder.path(), &[("SECRET_KEY_FILE", "key")]);
    assert_eq!(service.get("/readyz").status, 200);
    assert!(!folder.path().join("data/keys.json").exists(), "the service created another secret");

    let both = [("SECRET_KEY_FILE", "key"), ("SECRET_KEY", GOOD_SECRET)];
    let (code, output) = refused(folder.path(), &["--port", "0"], &both);
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("both SECRET_KEY and SECRET_KEY_FILE are set"), "{output}");
    assert!(!output.contains(GOOD_SECRET), "{output}");

    let (code, output) = refused(folder.path(), &["--port", "0"], &[("SECRET_KEY_FILE", "none")]);
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("SECRET_KEY_FILE names a file that does not exist"), "{output}");
}

#[test]
fn weak_secret_is_rejected_except_in_reference_mode() {
    let sample = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7";
    for weak in ["short, but not so", sample, "abababababababababababababababababababab"] {
        let folder = TempDir::new().unwrap();
        let (code, output) = refused(folder.path(), &["--port", "0"], &[("SECRET_KEY", weak)]);
        assert_eq!(code, 2, "{output}");
        assert!(output.contains("\n  SECRET_KEY: "), "{output}");
        assert!(!output.contains(weak), "{output}");

        let lenient = [("SECRET_KEY", weak), ("COMPAT", "reference")];
        let service = Service::start_in(folder.path(), &lenient);
        let output = service.stderr();
        assert!(output.contains("SECRET_KEY is weak"), "{output}");
        assert!(!output.contains(weak), "{output}");
        assert_eq!(service.get("/readyz").status, 200);
    }
}

#[test]
fn postgresql_without_a_secret_is_rejected() {
    let folder = TempDir::new().unwrap();
    let url = [("DATABASE_URL", "postgresql://ada:hunter2@db/posts")];
    let parts = [
        ("DATABASE_HOSTNAME", "db"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_PASSWORD", "hunter2"),
        ("DATABASE_NAME", "posts"),
        ("DATABASE_USERNAME", "ada"),
    ];
    for environment in [url.as_slice(), parts.as_slice()] {
        let (code, output) = refused(folder.path(), &["--port", "0"], environment);
        assert_eq!(code, 2, "{output}");
        assert!(output.contains("SECRET_KEY: is missing; generate one with"), "{output}");
        assert!(!output.contains("hunter2"), "{output}");
    }
}

#[test]
fn keys_file_is_warned_about_for_a_group_and_refused_for_everyone() {
    let folder = TempDir::new().unwrap();
    drop(Service::start_in(folder.path(), &[]));
    let keys = folder.path().join("data/keys.json");
    let set_mode = |mode| std::fs::set_permissions(&keys, PermissionsExt::from_mode(mode)).unwrap();
    for (mode, is_warned) in [(0o600, false), (0o640, true), (0o660, true)] {
        set_mode(mode);
        let service = Service::start_in(folder.path(), &[]);
        assert_eq!(service.stderr().contains("a group can access the keys"), is_warned, "{mode:o}");
    }
    set_mode(0o644);
    let (code, output) = refused(folder.path(), &["--port", "0"], &[]);
    assert_eq!(code, 1, "{output}");
    let expected = "error: could not load the keys: ./data/keys.json can be accessed by everyone; \
                    make its mode 0600";
    assert!(output.contains(expected), "{output}");
}
