//! Faults of settings at the start: the error names the setting, the value, the cause and the cure,
//! with exit code 2.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Cluster, PASSWORD, Service};

/// A secret from a tutorial.
const SAMPLE_SECRET: &str = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7";

/// Runs the command line, which must fail. Returns its exit code and its errors.
fn refused(folder: &Path, arguments: &str, environment: &[(&str, &str)]) -> (i32, String) {
    let mut command = Service::command(folder);
    command.args(arguments.split_whitespace()).envs(environment.iter().copied());
    outcome(&mut command)
}

fn outcome(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// As the reference service does.
#[test]
fn default_env_file_that_is_no_file_is_passed_over() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join(".env")).unwrap();
    Service::start_in(folder.path(), &[]).get("/readyz").expect(200);
    std::fs::remove_dir(folder.path().join(".env")).unwrap();
    make_pipe(&folder.path().join(".env"));
    Service::start_in(folder.path(), &[]).get("/readyz").expect(200);
}

#[test]
fn named_env_file_that_cannot_be_read_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    make_pipe(&folder.path().join("pipe"));
    std::fs::write(folder.path().join("latin1"), b"DATA_DIR=\xe9").unwrap();
    for (name, problem) in [
        ("folder", "folder cannot be read: Is a directory"),
        ("pipe", "pipe cannot be read: no process writes into the pipe"),
        ("/dev/zero", "/dev/zero cannot be read: larger than 1 MiB"),
        ("latin1", "latin1 is not UTF-8"),
    ] {
        for command in ["serve", "db current", "healthcheck", "settings"] {
            let (code, error) =
                refused(folder.path(), &format!("{command} --env-file {name}"), &[]);
            assert_eq!(code, 2, "{command}: {error}");
            assert!(error.contains(&format!("\n  --env-file: {problem}")), "{command}: {error}");
        }
    }
}

#[test]
fn env_file_from_a_pipe_is_read() {
    let folder = TempDir::new().unwrap();
    let script = r#"printf 'DOCS=off\n' | "$0" settings --env-file /dev/stdin"#;
    let service = Service::command(folder.path());
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(service.get_program())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("\nDOCS=off\n"));
    let (code, _) = refused(folder.path(), "db current --env-file /dev/null", &[]);
    assert_eq!(code, 0);
}

#[test]
fn misspelt_name_in_the_env_file_stops_every_command() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "DATABSE_URL=postgresql://db/posts\n").unwrap();
    for command in ["serve", "db upgrade", "user sign-out --all", "healthcheck", "settings"] {
        let (code, error) = refused(folder.path(), command, &[]);
        assert_eq!(code, 2, "{command}: {error}");
        let expected = "\n  DATABSE_URL in line 1 of the env file: is no setting; did you mean \
                        DATABASE_URL=?";
        assert!(error.contains(expected), "{command}: {error}");
    }
    assert!(!folder.path().join("data").exists());
}

#[test]
fn secret_in_the_place_of_a_name_does_not_reach_the_log() {
    let folder = TempDir::new().unwrap();
    let (first, second) = ("7c1f0a94e2b85d36f7a1c05e9d42b83a", "b9d1c6f7a2e3d4c5b6a7988990a1b2c3");
    let text = format!("SECRET_KEYS={first},\n{second}\n{}=\n", second.to_uppercase());
    std::fs::write(folder.path().join(".env"), text).unwrap();
    let mut service = Service::start_in(folder.path(), &[("LOG_LEVEL", "trace")]);
    service.terminate();
    service.wait();
    let log = service.final_stderr();
    for line in ["name line=2", "name line=3"] {
        assert!(log.contains(line), "{log}");
    }
    assert!(!log.to_lowercase().contains(second), "{log}");
}

#[test]
fn misspelt_variable_is_warned_about() {
    let service = Service::start(&[("DATABSE_URL", "postgresql://db/posts")]);
    let log = service.stderr();
    assert!(log.contains(r#"name="DATABSE_URL" meant="DATABASE_URL""#), "{log}");
}

#[test]
fn host_in_brackets_is_an_ipv6_address() {
    let service = Service::start(&[("HOST", "[::1]")]);
    assert!(service.url.starts_with("http://[::1]:"), "{}", service.url);
}

#[test]
fn host_that_cannot_be_used_is_named_with_the_cure() {
    let folder = TempDir::new().unwrap();
    // 192.0.2.1 belongs to no machine (RFC 5737).
    for host in ["x86_64-conda-linux-gnu", "192.0.2.1", "[127.0.0.1]", "a b"] {
        let (code, error) = refused(folder.path(), "serve --port 0", &[("HOST", host)]);
        assert_eq!(code, 2, "{error}");
        let expected = format!("\n  HOST: {host:?} cannot be used: cannot listen on {host}:0: ");
        assert!(error.contains(&expected), "{error}");
        assert!(error.contains("; give an IP address of this machine"), "{error}");
    }
}

#[test]
fn data_dir_that_cannot_be_used_is_named_with_the_cause() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (data_dir, cause) in [("file", "File exists"), ("file/data", "Not a directory")] {
        for command in ["serve --port 0", "db upgrade"] {
            let (code, error) = refused(folder.path(), command, &[("DATA_DIR", data_dir)]);
            assert_eq!(code, 2, "{command}: {error}");
            let expected = format!("\n  DATA_DIR: could not create the folder {data_dir}: {cause}");
            assert!(error.contains(&expected), "{command}: {error}");
        }
    }
    let path = folder.path().join("closed");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    let script = r#"DATA_DIR=closed/data exec "$0" serve --port 0"#;
    let (code, error) = outcome(&mut Service::command_without_privileges(folder.path(), script));
    assert_eq!(code, 2, "{error}");
    let expected = "\n  DATA_DIR: could not create the folder closed/data: Permission denied (os \
                    error 13); name a folder in which the user of the service, ";
    assert!(error.contains(expected), "{error}");
}

/// The tokens of the reference service depend on its secret, so a migration must not ask for another.
#[test]
fn commands_that_use_only_the_database_need_no_key() {
    let folder = TempDir::new().unwrap();
    let database = Cluster::shared().empty_database();
    let stores = [database.url(), "sqlite:posts.db"];
    let faults = [
        ("SECRET_KEY", "weak"),
        ("SECRET_KEY", SAMPLE_SECRET),
        ("SECRET_KEY_FILE", "missing"),
        ("SECRET_KEYS", ","),
        ("ALGORITHM", "RS256"),
        ("SIGNING_KEYS", "no key"),
        ("TLS_CERT", "missing.pem"),
        ("SECRET_KEY", ""),
    ];
    // The stores in turn: a command reads its settings in the same way for each.
    for ((name, value), url) in faults.into_iter().zip(stores.into_iter().cycle()) {
        for command in [
            "db upgrade --dry-run",
            "db upgrade",
            "db check",
            "db current",
            "db history",
            "db verify",
            "user sign-out --all",
            "db downgrade base",
            "db stamp base",
        ] {
            // A sign-out logs its event.
            let environment = [(name, value), ("DATABASE_URL", url), ("LOG_LEVEL", "warn")];
            let (code, error) = refused(folder.path(), command, &environment);
            assert_eq!((code, error.as_str()), (0, ""), "{command} with {name}={value}");
        }
    }
}

#[test]
fn weak_secret_is_refused_with_the_cure_for_a_takeover() {
    let folder = TempDir::new().unwrap();
    for (secret, is_of_takeover) in
        [(SAMPLE_SECRET, true), ("0123456789abcdef", true), ("short", false)]
    {
        let (code, error) = refused(folder.path(), "serve --port 0", &[("SECRET_KEY", secret)]);
        assert_eq!(code, 2, "{error}");
        let is_named = error.contains("keep it and set COMPAT=reference");
        assert_eq!(is_named, is_of_takeover, "{error}");
        assert!(error.contains("openssl rand -hex 32"), "{error}");
    }
}

#[test]
fn password_on_the_command_line_is_warned_about() {
    let folder = TempDir::new().unwrap();
    let database = Cluster::shared().database();
    let url = database.url().replace("tester@", "tester:hunter2@");
    let mut command = Service::command(folder.path());
    command
        .args(["--port", "0", "--database-url", &url])
        .env("SECRET_KEY", "7c1f0a94e2b85d36f7a1c05e9d42b83a");
    let service = Service::run(&mut command, folder.path());
    let log = service.stderr();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("--database-url")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(" WARN ") && lines[0].contains("DATABASE_URL_FILE"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

/// The words of the templates are no longer words that a path can contain.
#[test]
fn pages_below_any_root_path_load_their_files() {
    for root_path in ["/TITLE", "/SUBTITLES/api", "/ROOT", "/root_path", "/api"] {
        let service = Service::start(&[("ROOT_PATH", root_path)]);
        for page in ["/docs", "/redoc"] {
            let html = service.get(page).expect(200).text().to_owned();
            assert!(html.contains("<title>Post Management API</title>"), "{html}");
            assert!(html.contains(&format!("href=\"{root_path}/docs/page.css\"")), "{html}");
            assert!(html.contains(&format!("\"{root_path}/openapi.json\"")), "{html}");
            assert!(!html.contains('{'), "{html}");
        }
    }
}

#[test]
fn account_survives_a_blank_list_of_origins_without_cors_headers() {
    let service = Service::start(&[("CORS_ORIGINS", "")]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\norigin: https://a.example\r\n\r\n";
    let response = service.connect().exchange(request).expect(200);
    assert_eq!(response.header("access-control-allow-origin"), "");
}
