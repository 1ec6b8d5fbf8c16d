//! Failing starts, and commands that succeed or fail, with secrets in every setting that takes one.
//!
//! Not here: secrets in place of a command. A reader of the error message sees the command line
//! too.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::Canaries;
use super::canary::{Canary, Haystack};
use super::fixture::Fixture;
use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Engine, Service};

/// Runs the command and returns its exit code and all its output.
fn run(command: &mut Command) -> (i32, String) {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(printed).unwrap())
}

/// The expected exit code of a start, and its settings.
type Start = (i32, Vec<(&'static str, String)>);

/// Returns invalid settings with secrets in them.
fn invalid_settings(canaries: &Canaries) -> Vec<Start> {
    let (key, password) = (&canaries.key.text, canaries.database.encoded().replace('+', "%20"));
    let short = &key[..20];
    let mut invalid_settings = Vec::new();
    for url in [
        format!("mysql://ada:{password}@127.0.0.1/posts"),
        format!("ada:{password}@127.0.0.1/posts"),
        format!("postgresql:/ada:{password}@127.0.0.1/posts"),
        format!("postgresql://ada:{password}@/posts"),
        format!("postgresql://ada:{password}@127.0.0.1"),
        format!("postgresql://ada@127.0.0.1:{password}/posts"),
        format!("postgresql://ada:{password}@127.0.0.1:99999/posts"),
        format!("postgresql://ada:{password}%zz@127.0.0.1:x/posts"),
        format!("postgresql://ada:@{password}@127.0.0.1/posts?"),
        format!("postgresql://ada:{password}@127.0.0.1/posts?sslmode={password}"),
        format!("postgresql://ada@127.0.0.1/posts?connect_timeout={password}"),
        format!("postgresql://ada@127.0.0.1/posts?target_session_attrs={password}"),
        format!("postgresql://ada@127.0.0.1/posts?passwort={password}"),
        format!("postgresql://[{password}/posts"),
        format!("postgresql://{password}@127.0.0.1/posts?sslmode=x"),
        format!("postgresql+psycopg2://ada:{password}@127.0.0.1/posts"),
        format!("postgresql://127.0.0.1/posts?user=ada&password={password}"),
        format!("postgresql://ada:{password}@127.0.0.1:1,127.0.0.1:x/posts"),
        format!("host=127.0.0.1 user=ada password={} dbname=posts", canaries.database.text),
        format!("jdbc:postgresql://127.0.0.1/posts?user=ada&password={password}"),
        password.clone(),
    ] {
        invalid_settings.push((2, vec![("DATABASE_URL", url), ("SECRET_KEY", short.to_owned())]));
    }
    invalid_settings.push((2, vec![("SECRET_KEY", short.to_owned()), ("PORT", "x".to_owned())]));
    invalid_settings
        .push((2, vec![("SECRET_KEY", key.clone()), ("ALGORITHM", "HS512".to_owned())]));
    invalid_settings.push((2, vec![("SECRET_KEY_FILE", "short".to_owned())]));
    invalid_settings.push((2, vec![("DATABASE_URL_FILE", "short".to_owned())]));
    invalid_settings
        .push((2, vec![("SECRET_KEY_FILE", "short".to_owned()), ("SECRET_KEY", key.clone())]));
    invalid_settings.extend(invalid_keys(canaries));
    for (name, value) in [
        ("ARGON2_MEMORY_KIB", "7"),
        ("ARGON2_ITERATIONS", "0"),
        ("ARGON2_PARALLELISM", "x"),
        ("LOG_LEVEL", "loud"),
        ("SECRET_KEY_FILE", "no-such-file"),
        ("DATABASE_PASSWORD_FILE", "no-such-file"),
        ("DATABASE_PORT", "x"),
        ("HOST", "256.0.0.1"),
    ] {
        let mut settings = vec![("SECRET_KEY", key.clone()), (name, value.to_owned())];
        if name != "HOST" {
            settings.push(("DATABASE_PASSWORD", canaries.database.text.clone()));
        }
        invalid_settings.push((2, settings));
    }
    invalid_settings
}

/// Returns invalid values of the settings that take several keys.
fn invalid_keys(canaries: &Canaries) -> Vec<Start> {
    let key = &canaries.key.text;
    let mut invalid_settings = Vec::new();
    for name in ["SECRET_KEYS", "SIGNING_KEYS"] {
        invalid_settings.push((2, vec![(name, key.clone())]));
    }
    invalid_settings.push((2, vec![("SECRET_KEYS_FILE", "short".to_owned())]));
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n", canaries.word.text);
        for text in [key.clone(), pem.clone(), format!("{pem}-----END PRIVATE KEY-----\n")] {
            invalid_settings
                .push((2, vec![("SIGNING_KEYS", text), ("ALGORITHM", algorithm.to_owned())]));
        }
        invalid_settings
            .push((2, vec![("SECRET_KEY", key.clone()), ("ALGORITHM", algorithm.to_owned())]));
    }
    invalid_settings
}

/// Returns URLs of unreachable databases: no listener, no such host, no such socket folder.
fn unreachable_urls(canaries: &Canaries) -> Vec<String> {
    let password = canaries.database.encoded().replace('+', "%20");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    vec![
        format!("postgresql://ada:{password}@127.0.0.1:{free}/posts"),
        format!("postgresql://ada:{password}@127.0.0.1:{free},127.0.0.1:{free}/posts"),
        format!("postgresql://ada:{password}@no-such-host.invalid/posts"),
        format!("postgresql://ada:{password}@/posts?host=/no/such/folder"),
        format!("postgresql://ada:{password}@127.0.0.1:{free}/posts?sslmode=verify-full"),
    ]
}

fn run_and_search(canaries: &Canaries, context: &str, command: &mut Command, code: i32) -> String {
    let (ended, output) = run(command);
    assert_eq!(ended, code, "{context}: {output}");
    canaries.assert_hidden(context, &output, "a command");
    output
}

#[test]
fn failing_start_reveals_no_secret() {
    let budget = Budget::new("secrets, failing starts", 1);
    let canaries = Canaries::generate(&mut Rng::new(budget.seed()));
    let folder = TempDir::new().unwrap();
    let command = || {
        let mut command = Service::command(folder.path());
        command.env("LOG_LEVEL", "trace");
        command
    };
    std::fs::write(folder.path().join("short"), &canaries.key.text[..20]).unwrap();
    let mut starts = 0;
    for (code, settings) in invalid_settings(&canaries) {
        let context = format!("a start with {}", settings[0].1);
        let output = run_and_search(&canaries, &context, command().envs(settings.clone()), code);
        assert!(output.contains("error: "), "{output}");
        // The same settings in a file with an invalid line.
        let lines = settings.iter().map(|(name, value)| format!("{name}='{value}'\n"));
        let text = format!("{}SECRET_KEY='{}\n", lines.collect::<String>(), canaries.stray.text);
        std::fs::write(folder.path().join("settings"), text).unwrap();
        let (_, output) = run(command().args(["--env-file", "settings", "--port", "x"]));
        canaries.assert_hidden(&context, &output, "a file");
        starts += 2;
    }
    for url in unreachable_urls(&canaries) {
        for arguments in ["current", "upgrade", "check", "verify", "history", "downgrade base"] {
            let mut command = command();
            command.arg("db").args(arguments.split(' ')).args(["--database-url", &url]);
            run_and_search(&canaries, &url, &mut command, 3);
            starts += 1;
        }
    }
    // A value of a setting without secrets is shown.
    let output = run_and_search(&canaries, "a port", command().args(["--port", "not-a-port"]), 2);
    assert!(output.contains("not-a-port"), "{output}");
    budget.report("commands searched", starts);
}

#[test]
fn command_reveals_no_secret_on_sqlite() {
    search_commands(&Budget::new("secrets, commands, embedded", 1), Engine::Sqlite);
}

#[test]
fn command_reveals_no_secret_on_postgresql() {
    search_commands(&Budget::new("secrets, commands, PostgreSQL", 1), Engine::Postgres);
}

fn search_commands(budget: &Budget, engine: Engine) {
    let canaries = Canaries::generate(&mut Rng::new(budget.seed()));
    let mut fixture = Fixture::new(engine, &canaries.key, &canaries.database);
    let mut commands = search_each_command(&canaries, &fixture);
    fixture.move_settings_to_a_file();
    commands += search_each_command(&canaries, &fixture);
    if engine == Engine::Postgres {
        send_wrong_database_password(&fixture, &canaries);
    }
    budget.report("commands searched", commands);
}

/// Runs every command and returns their number.
fn search_each_command(canaries: &Canaries, fixture: &Fixture) -> usize {
    let mut commands = 0;
    for (code, arguments) in [
        (0, "db upgrade"),
        (0, "db current"),
        (0, "db history"),
        (0, "db check"),
        (0, "db verify"),
        (0, "db upgrade --dry-run"),
        (0, "db upgrade --sql"),
        (0, "db downgrade base --sql"),
        (2, "db downgrade nowhere"),
        (2, "db stamp nowhere"),
        (0, "db stamp head"),
        (0, "settings"),
        (2, "secret rotate"),
        (0, "openapi"),
        (1, "healthcheck --port 1"),
        (0, "doctor"),
        (0, "doctor --full --json"),
        (2, "serve --port x"),
        (2, "serve --no-such-flag"),
        (2, "serve --port 0 --host 256.0.0.1"),
        (0, "--help"),
        (0, "--version"),
    ] {
        for level in ["info", "trace"] {
            let mut command = fixture.command();
            command.args(arguments.split(' ')).envs([("LOG_LEVEL", level), ("PORT", "0")]);
            let output = run_and_search(canaries, arguments, &mut command, code);
            assert!(
                arguments != "settings" || output.contains("SECRET_KEY=**********"),
                "{output}"
            );
            commands += 1;
        }
    }
    commands
}

/// This secret is in no setting.
#[test]
fn generated_key_is_not_revealed() {
    let mut service = Service::start(&[("LOG_LEVEL", "trace"), ("ACCESS_LOG", "on")]);
    let mut canaries = Canaries::generate(&mut Rng::new(1));
    canaries.generated.push(Canary::from_text("the generated key", &service.secret()));
    service.get("/readyz").expect(200);
    service.terminate();
    assert!(service.wait().success());
    canaries.assert_hidden("the log", service.final_stderr(), "a generated key");
    for arguments in ["settings", "db current", "db verify", "secret rotate"] {
        let mut command = Service::command(service.path());
        command.args(arguments.split(' ')).env("LOG_LEVEL", "trace");
        let output = run_and_search(&canaries, arguments, &mut command, 0);
        for secret in service.secret().lines() {
            assert!(!output.contains(secret), "{output}");
        }
    }
}

/// A wrong password appears neither in the output nor in the log of PostgreSQL.
fn send_wrong_database_password(fixture: &Fixture, canaries: &Canaries) {
    let url = fixture.url_with(&canaries.wrong);
    let mut command = fixture.command();
    command.args(["db", "current"]).env("DATABASE_URL", &url).env("LOG_LEVEL", "trace");
    let output = run_and_search(canaries, "a wrong password", &mut command, 3);
    assert!(output.contains("password authentication failed"), "{output}");
    let log = fixture.server_log();
    assert!(String::from_utf8_lossy(&log).contains("password authentication failed"));
    assert_eq!(Haystack::new(log).find(canaries.all()), [""; 0]);
}
