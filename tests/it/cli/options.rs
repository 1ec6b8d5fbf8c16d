//! Options before and after the command, help, and readers that close the output early.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use super::{folder, run, run_with};
use crate::support::Service;

/// Every command line that prints to standard output.
const PRINTING: [&str; 14] = [
    "openapi",
    "settings",
    "--help",
    "db --help",
    "serve --help",
    "--version",
    "db current",
    "db history",
    "db upgrade --sql",
    "db upgrade --dry-run",
    "db upgrade",
    "db downgrade base",
    "completions bash",
    "man",
];

/// Every command that does something, without its arguments.
const COMMANDS: [&str; 28] = [
    "serve",
    "db upgrade",
    "db downgrade",
    "db current",
    "db history",
    "db check",
    "db stamp",
    "db verify",
    "secret rotate",
    "user list",
    "user add",
    "user set-password",
    "user disable",
    "user enable",
    "user delete",
    "user sign-out",
    "post list",
    "post delete",
    "openapi",
    "settings",
    "doctor",
    "healthcheck",
    "completions",
    "man",
    "db",
    "secret",
    "user",
    "post",
];

#[test]
fn options_work_before_the_command_as_after() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("prod.env"), "DATABASE_URL=sqlite:prod.db\nPORT=1\n").unwrap();
    for line in ["--env-file prod.env db upgrade", "--database-url sqlite:prod.db db upgrade"] {
        run(path, line).expect(0);
        assert!(path.join("prod.db").is_file(), "{line}");
        std::fs::remove_file(path.join("prod.db")).unwrap();
    }
    let settings = run(path, "--env-file=prod.env settings").expect(0).output;
    assert!(settings.contains("\nPORT=1\n"), "{settings}");
    // The system never assigns port 1 by chance.
    for line in ["--port 1 healthcheck", "--env-file prod.env healthcheck"] {
        let refused = run(path, line).expect(1);
        assert!(refused.error.starts_with("http://127.0.0.1:1/readyz: "), "{}", refused.error);
    }
    run(path, "--database-url sqlite:none.db secret rotate").expect(1);
    run(path, "--database-url sqlite:data/posts.db user sign-out --all").expect(1);
}

#[test]
fn serve_accepts_its_options_before_the_command() {
    let folder = folder();
    let mut command = Service::command(folder.path());
    command.args(["--database-url", "sqlite:here.db", "--port", "0", "serve", "--host", "::1"]);
    let service = Service::run(&mut command, folder.path());
    assert!(service.url.starts_with("http://[::1]:"), "{}", service.url);
    assert!(folder.path().join("here.db").is_file());
}

#[test]
fn option_of_another_command_is_rejected_before_and_after_the_command() {
    let folder = folder();
    for (option, command) in [
        ("--port 1", "db current"),
        ("--host ::1", "settings"),
        ("--upgrade", "healthcheck"),
        ("--database-url sqlite:a.db", "healthcheck"),
        ("--port 1", "openapi"),
    ] {
        for line in [format!("{option} {command}"), format!("{command} {option}")] {
            let outcome = run(folder.path(), &line).expect(2);
            let name = option.split(' ').next().unwrap();
            let expected = format!("unexpected argument '{name}'");
            assert!(outcome.error.contains(&expected), "{line}: {}", outcome.error);
        }
    }
}

#[test]
fn help_of_each_command_has_only_options_of_the_command() {
    let folder = folder();
    for (command, options) in [
        ("serve", ["--host", "--port", "--upgrade", "--database-url", "--env-file"].as_slice()),
        ("healthcheck", &["--host", "--port", "--env-file"]),
        ("settings", &["--database-url", "--env-file"]),
        ("openapi", &["--database-url", "--env-file"]),
        ("doctor", &["--full", "--json", "--database-url", "--env-file"]),
        ("db current", &["--database-url", "--env-file"]),
        ("db upgrade", &["--sql", "--dry-run", "--database-url", "--env-file"]),
        ("secret rotate", &["--drop-old", "--database-url", "--env-file"]),
        ("user sign-out", &["--all", "--database-url", "--env-file"]),
        (
            "user list",
            &[
                "--search",
                "--disabled",
                "--admin",
                "--json",
                "--after",
                "--database-url",
                "--env-file",
            ],
        ),
        ("user add", &["--password-stdin", "--any-password", "--database-url", "--env-file"]),
        ("user delete", &["--yes", "--database-url", "--env-file"]),
        (
            "post list",
            &["--owner", "--search", "--json", "--after", "--database-url", "--env-file"],
        ),
    ] {
        let help = run(folder.path(), &format!("{command} --help")).expect(0).output;
        let listed: Vec<&str> = help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("-h, ").or(Some(line.trim_start())))
            .filter(|line| line.starts_with("--") && !line.starts_with("--help"))
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(listed, options, "{help}");
    }
}

#[test]
fn command_without_a_needed_argument_shows_what_it_needs() {
    let folder = folder();
    for (command, needed) in [
        ("user sign-out", "<EMAIL|--all>"),
        ("user add", "<EMAIL>"),
        ("user delete", "<EMAIL>"),
        ("post delete", "<ID>"),
        ("post", "list"),
        ("db downgrade", "<REVISION>"),
        ("db stamp", "<REVISION>"),
        ("db", "upgrade"),
        ("secret", "rotate"),
        ("user", "sign-out"),
    ] {
        let outcome = run(folder.path(), command).expect(2);
        assert!(outcome.error.contains(needed), "{command}: {}", outcome.error);
        assert!(outcome.error.contains("Usage: post-api "), "{command}: {}", outcome.error);
    }
    let both = run(folder.path(), "user sign-out --all ada@example.com").expect(2);
    assert!(both.error.contains("cannot be used with"), "{}", both.error);
}

#[test]
fn every_command_has_help() {
    let folder = folder();
    for command in COMMANDS {
        let help = run(folder.path(), &format!("{command} --help")).expect(0);
        assert!(help.output.contains("Usage: post-api "), "{command}");
        assert_eq!(help.error, "", "{command}");
    }
    assert!(!folder.path().join("data/posts.db").exists());
}

#[test]
fn reader_that_closes_the_output_early_ends_no_command_with_an_error() {
    for line in PRINTING {
        let folder = folder();
        let mut child = Service::command(folder.path())
            .args(line.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before the first byte: the pipe would have room for a short output.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        assert!(output.status.success(), "{line}: {}", output.status);
    }
}

/// The document is larger than a pipe, so the command still writes when the reader leaves.
#[test]
fn reader_that_leaves_during_the_output_gets_its_lines() {
    let folder = folder();
    let mut child = Service::command(folder.path())
        .arg("openapi")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\n");
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(error, "");
    assert!(child.wait().unwrap().success());
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let folder = folder();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Service::command(folder.path()).arg("openapi").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn migration_with_nothing_to_do_says_so() {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    for (command, output) in [
        ("upgrade", "nothing to do\n"),
        ("upgrade --dry-run", "nothing to do\n"),
        ("upgrade --sql", "-- nothing to do\n"),
        ("upgrade head", "nothing to do\n"),
    ] {
        assert_eq!(run(folder.path(), &format!("db {command}")).expect(0).output, output);
    }
    run(folder.path(), "db downgrade base").expect(0);
    for (command, output) in [("base", "nothing to do\n"), ("base --sql", "-- nothing to do\n")] {
        assert_eq!(run(folder.path(), &format!("db downgrade {command}")).expect(0).output, output);
    }
}

#[test]
fn password_on_the_command_line_of_a_command_is_warned_about() {
    let folder = folder();
    // Port 1 refuses connections.
    let url = "postgresql://ada:hunter2@127.0.0.1:1/posts";
    for line in ["db current", "user sign-out --all"] {
        let on_line = run(folder.path(), &format!("{line} --database-url {url}")).expect(3);
        assert!(on_line.error.starts_with("warning: --database-url: has a password"), "{line}");
        assert!(!on_line.error.contains("hunter2"), "{}", on_line.error);
        let in_environment = run_with(folder.path(), line, &[("DATABASE_URL", url)]).expect(3);
        assert!(!in_environment.error.contains("warning"), "{}", in_environment.error);
    }
}
