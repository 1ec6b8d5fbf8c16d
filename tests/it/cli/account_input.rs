//! Input, output and errors of `post-api user` and `post-api post`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::accounts::{ANOTHER_PASSWORD, Installation, rows};
use super::{Outcome, folder, open, run, run_with, run_with_input};
use crate::support::{PASSWORD, Service};

/// Returns a folder with a migrated database that has the account of Ada.
fn folder_with_ada() -> TempDir {
    let folder = folder();
    run(folder.path(), "db upgrade").expect(0);
    open(folder.path())
        .execute_batch(
            "INSERT INTO users (email, password, created_at) VALUES ('ada@example.com', 'x', 0)",
        )
        .unwrap();
    folder
}

#[test]
fn command_on_an_unknown_account_or_post_changes_nothing() {
    let folder = folder_with_ada();
    for command in ["set-password", "disable", "enable", "delete"] {
        let refused = run(folder.path(), &format!("user {command} eve@example.com")).expect(1);
        assert_eq!(refused.error, "no account has the e-mail eve@example.com\n", "{command}");
    }
    let refused = run(folder.path(), "post list --owner eve@example.com").expect(1);
    assert_eq!(refused.error, "no account has the e-mail eve@example.com\n");
    let refused = run(folder.path(), "post delete 1 2").expect(1);
    assert_eq!(refused.error, "there is no post 1\nthere is no post 2\n");
    for usage in ["post delete x", "post delete", "user list --after x", "user add"] {
        run(folder.path(), usage).expect(2);
    }
    assert_eq!(rows(&run(folder.path(), "user list").expect(0)).len(), 1);
}

#[test]
fn password_of_an_operator_obeys_the_rules_unless_any_is_allowed() {
    let folder = folder_with_ada();
    let long = "x".repeat(5000);
    let two_lines = format!("{PASSWORD}\n{PASSWORD}\n");
    for (options, input, code, message) in [
        ("", PASSWORD, 2, "give --password-stdin"),
        ("--password-stdin", "short\n", 1, "shorter than 8 characters"),
        ("--password-stdin", "password123", 1, "too common"),
        ("--password-stdin", "", 1, "shorter than 8 characters"),
        ("--password-stdin --any-password", "", 1, "shorter than 1 characters"),
        ("--password-stdin --any-password", &long, 1, "longer than 4096 characters"),
        ("--password-stdin", &two_lines, 2, "more than one line"),
        ("--password-stdin", "plum lantern\r\n83 quay", 2, "more than one line"),
    ] {
        for command in ["user add eve@example.com", "user set-password ada@example.com"] {
            let line = format!("{command} {options}");
            let arguments: Vec<&str> = line.split_whitespace().collect();
            let refused = run_with_input(folder.path(), &arguments, &[], input.as_bytes());
            let refused = refused.expect(code);
            assert!(refused.error.contains(message), "{line}: {}", refused.error);
        }
    }
    let arguments = ["user", "add", "eve@example.com", "--password-stdin"];
    let refused = run_with_input(folder.path(), &arguments, &[], b"plum \xff lantern").expect(2);
    assert!(refused.error.contains("UTF-8"), "{}", refused.error);
    let refused = run(folder.path(), "user add nonsense --password-stdin").expect(2);
    assert!(refused.error.contains("nonsense is not a valid e-mail"), "{}", refused.error);

    let any = ["user", "add", "eve@example.com", "--password-stdin", "--any-password"];
    run_with_input(folder.path(), &any, &[], b"a\r\n").expect(0);
    let installation = Installation::start(folder.path());
    installation.log_in("eve@example.com", "a", 200);
    installation.log_in("eve@example.com", "a\r", 403);
}

/// An adopted database has any e-mail, and a post has any title.
#[test]
fn hostile_text_breaks_no_line_and_controls_no_terminal() {
    let folder = folder_with_ada();
    let database = open(folder.path());
    let hostile = "a\tb\nc\rd\\\u{1b}[2J\u{9b}\u{202e}\u{2028}é";
    database
        .execute(
            "INSERT INTO users (email, name, password, created_at) VALUES (?1, ?1, 'x', 0)",
            [hostile],
        )
        .unwrap();
    database
        .execute(
            "INSERT INTO posts (title, content, created_at, owner_id) VALUES (?1, ?1, 0, 1)",
            [hostile],
        )
        .unwrap();
    let escaped = r"a\tb\nc\rd\\\u{1b}[2J\u{9b}\u{202e}\u{2028}é";
    let accounts = run(folder.path(), "user list").expect(0);
    let time = "1970-01-01T00:00:00.000000Z";
    assert_eq!(rows(&accounts)[1], ["2", escaped, escaped, time, "", "false"]);
    let posts = run(folder.path(), "post list").expect(0);
    assert_eq!(rows(&posts), [["1", "1", time, "true", "0", escaped]]);
    for line in ["user list --json --after 1", "post list --json"] {
        let output = run(folder.path(), line).expect(0).output;
        let is_hidden = |character: char| {
            character != '\n' && (character.is_control() || "\u{202e}\u{2028}".contains(character))
        };
        assert!(!output.contains(is_hidden) && output.lines().count() == 1, "{output:?}");
        let object: Value = serde_json::from_str(&output).unwrap();
        let field = if line.starts_with("user") { "email" } else { "content" };
        assert_eq!(object[field], hostile);
    }
    let arguments = ["user", "disable", "\u{1b}[2J\n"];
    let refused = run_with_input(folder.path(), &arguments, &[], b"").expect(1);
    assert_eq!(refused.error, "no account has the e-mail \\u{1b}[2J\\n\n");
}

/// The list is longer than a pipe and than a page.
#[test]
fn reader_that_leaves_a_list_ends_it_quietly() {
    let folder = folder_with_ada();
    open(folder.path())
        .execute_batch(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
             INSERT INTO users (email, password, created_at) SELECT 'user' || n, 'x', n FROM numbers;
             INSERT INTO posts (title, content, created_at, owner_id)
             SELECT 'title', 'content', 0, id FROM users",
        )
        .unwrap();
    for line in ["user list", "post list"] {
        assert_eq!(rows(&run(folder.path(), line).expect(0)).len(), 3001, "{line}");
        let mut child = Service::command(folder.path())
            .args(line.split(' '))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with("id\t"), "{first}");
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!(error, "", "{line}");
        assert!(child.wait().unwrap().success(), "{line}");
    }
}

#[test]
fn unreachable_database_has_exit_code_3() {
    let folder = folder();
    let environment = [("DATABASE_URL", "postgresql://ada@127.0.0.1:1/posts")];
    for line in ["user list", "user disable ada@example.com", "post list", "post delete 1"] {
        run_with(folder.path(), line, &environment).expect(3);
    }
}

#[test]
fn outdated_database_is_reported_for_every_command() {
    let folder = folder();
    run(folder.path(), "db upgrade 16").expect(0);
    for line in ["user list", "user disable ada@example.com", "post list", "post delete 1"] {
        let refused = run(folder.path(), line).expect(1);
        assert!(refused.error.contains("run `post-api db upgrade`"), "{}", refused.error);
    }
}

#[test]
fn missing_database_is_named_and_not_created() {
    let folder = folder();
    for line in ["user list", "user disable ada@example.com", "post list", "export", "backup copy"]
    {
        let refused = run(folder.path(), line).expect(1);
        let expected = "error: there is no database ./data/posts.db; name its folder in DATA_DIR";
        assert!(refused.error.starts_with(expected), "{line}: {}", refused.error);
    }
    assert!(!folder.path().join("data/posts.db").exists());
}

/// Runs the command on a terminal of its own, on which these lines are typed. Returns what the
/// terminal shows.
fn type_into(folder: &Path, line: &str, typed: &str) -> Outcome {
    let service = Service::command(folder);
    let program = service.get_program().to_str().unwrap().to_owned();
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &format!("{program} {line}"), "/dev/null"])
        .current_dir(folder)
        .env_clear()
        .envs(service.get_envs().map(|(name, value)| (name, value.unwrap())))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    // Open until here: the end of the input would end the terminal.
    drop(input);
    let code = child.wait().unwrap().code().unwrap();
    Outcome { code, output, error: String::new() }
}

#[test]
fn command_on_a_terminal_asks_for_password_and_confirmation() {
    let folder = folder_with_ada();
    let both = format!("{PASSWORD}\n{PASSWORD}\n");
    let added = type_into(folder.path(), "user add eve@example.com", &both).expect(0);
    assert!(added.output.contains("Repeat the password: "), "{}", added.output);
    assert!(added.output.contains("added account 2"), "{}", added.output);
    let differing = format!("{PASSWORD}\n{ANOTHER_PASSWORD}\n");
    let refused = type_into(folder.path(), "user set-password eve@example.com", &differing);
    assert!(refused.expect(1).output.contains("the two passwords differ"));
    for (answer, code) in [("no\n", 1), ("\n", 1), ("yes\n", 0)] {
        let asked = type_into(folder.path(), "user delete eve@example.com", answer).expect(code);
        assert!(asked.output.contains("Delete account 2 (eve@example.com)"), "{}", asked.output);
    }
    let installation = Installation::start(folder.path());
    installation.log_in("eve@example.com", PASSWORD, 403);
}

/// A table of the operator keeps a post, so that the rows cannot all be deleted.
#[test]
fn deletion_that_cannot_finish_says_what_remains() {
    let folder = folder_with_ada();
    let database = open(folder.path());
    database
        .execute_batch(
            "INSERT INTO posts (title, content, created_at, owner_id) VALUES ('t', 'c', 0, 1);
             CREATE TABLE kept (post_id bigint REFERENCES posts (id)); INSERT INTO kept VALUES (1)",
        )
        .unwrap();
    let refused = run(folder.path(), "user delete ada@example.com --yes").expect(1);
    assert!(
        refused.error.contains("account 1 is closed, but some of its rows remain"),
        "{}",
        refused.error
    );
    run(folder.path(), "user delete ada@example.com --yes").expect(1);
    assert_eq!(rows(&run(folder.path(), "user list").expect(0)).len(), 0);
}
