//! `db upgrade`, `downgrade`, `current`, `history` and `stamp`.

use std::process::Stdio;

use super::{folder, open, run, schema};
use crate::support::Service;

const REVISIONS: [&str; 22] = [
    "0001_users_posts_votes",
    "0002_downvotes",
    "0003_vote_counts",
    "0004_indexes",
    "0005_post_search",
    "0006_tokens_valid_from",
    "0007_sessions",
    "0008_events",
    "0009_login_failures",
    "0010_installation",
    "0011_count_functions",
    "0012_account_deletions",
    "0013_unconfirmed_rotations",
    "0014_idempotency_keys",
    "0015_feed_indexes",
    "0016_user_names",
    "0017_disabled_users",
    "0018_post_changes",
    "0019_verified_emails",
    "0020_admins",
    "0021_verified_email_changes",
    "0022_change_log_ends",
];

const NEWEST: &str = REVISIONS[REVISIONS.len() - 1];

#[test]
fn migration_accepts_every_form_of_a_revision() {
    let folder = folder();
    let steps = [
        ("upgrade +1", "0001_users_posts_votes"),
        ("upgrade 3", "0003_vote_counts"),
        ("downgrade -1", "0002_downvotes"),
        ("downgrade 0001", "0001_users_posts_votes"),
        ("upgrade 0004_indexes", "0004_indexes"),
        ("upgrade 4", "0004_indexes"),
        ("upgrade", NEWEST),
        ("upgrade head", NEWEST),
        ("downgrade -2", REVISIONS[REVISIONS.len() - 3]),
        ("upgrade +2", NEWEST),
        ("downgrade base", "base"),
        ("downgrade base", "base"),
        ("upgrade head", NEWEST),
    ];
    assert_eq!(run(folder.path(), "db current").expect(0).output, "base\n");
    for (step, revision) in steps {
        run(folder.path(), &format!("db {step}")).expect(0);
        let current = run(folder.path(), "db current").expect(0).output;
        assert_eq!(current, format!("{revision}\n"), "after {step}");
    }
}

#[test]
fn each_step_is_printed_and_listed_in_the_history() {
    let folder = folder();
    let output = run(folder.path(), "db upgrade 2").expect(0).output;
    assert_eq!(output, "up   0001_users_posts_votes\nup   0002_downvotes\n");
    let history = run(folder.path(), "db history").expect(0).output;
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), REVISIONS.len());
    for (number, (line, revision)) in lines.iter().zip(REVISIONS).enumerate() {
        let state = if number < 2 { "  applied 20" } else { "  not applied" };
        assert!(line.starts_with(&format!("{revision}{state}")), "{line}");
    }
    let output = run(folder.path(), "db downgrade base").expect(0).output;
    assert_eq!(output, "down 0002_downvotes\ndown 0001_users_posts_votes\n");
    assert_eq!(schema(&open(folder.path())), [], "the downgrade left objects behind");
}

#[test]
fn read_only_command_creates_no_database() {
    let folder = folder();
    for command in ["db current", "db history", "db downgrade base", "db upgrade --sql"] {
        run(folder.path(), command).expect(0);
    }
    run(folder.path(), "db check").expect(1);
    assert!(!folder.path().join("data/posts.db").exists());
}

/// Runs the printed script on one database and the command on another, and compares both.
#[test]
fn printed_script_does_the_same_as_the_command() {
    let (scripted, stepped) = (folder(), folder());
    let commands = [
        "db upgrade +1",
        "db upgrade 4",
        "db downgrade 2",
        "db upgrade",
        "db downgrade -1",
        "db downgrade base",
        "db upgrade head",
    ];
    for command in commands {
        let before = schema(&open(scripted.path()));
        let script = run(scripted.path(), &format!("{command} --sql")).expect(0).output;
        assert_eq!(schema(&open(scripted.path())), before, "{command} --sql changed the database");
        open(scripted.path())
            .execute_batch(&script)
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        run(stepped.path(), command).expect(0);
        assert_eq!(schema(&open(scripted.path())), schema(&open(stepped.path())), "{command}");
        let current = |folder| run(folder, "db current").expect(0).output;
        assert_eq!(current(scripted.path()), current(stepped.path()), "{command}");
    }
    run(scripted.path(), "db check").expect(0);
}

#[test]
fn dry_run_prints_the_steps_of_the_upgrade() {
    let folder = folder();
    let output = run(folder.path(), "db upgrade 2 --dry-run").expect(0).output;
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines[0].starts_with("creates the file ") && lines[0].ends_with("/posts.db"),
        "{output}"
    );
    assert_eq!(lines[1..], ["up   0001_users_posts_votes", "up   0002_downvotes"]);
    assert!(!folder.path().join("data/posts.db").exists());
    run(folder.path(), "db upgrade 4").expect(0);
    let output = run(folder.path(), "db upgrade --dry-run").expect(0).output;
    let rest: Vec<String> = REVISIONS[4..].iter().map(|name| format!("up   {name}")).collect();
    assert_eq!(output.lines().collect::<Vec<_>>(), rest);
    assert_eq!(run(folder.path(), "db current").expect(0).output, "0004_indexes\n");
    run(folder.path(), "db upgrade").expect(0);
    let output = run(folder.path(), "db upgrade --dry-run").expect(0).output;
    assert_eq!(output, "nothing to do\n");
    run(folder.path(), "db upgrade --dry-run --sql").expect(2);
}

#[test]
fn flag_before_the_revision_is_accepted() {
    let folder = folder();
    run(folder.path(), "db upgrade --sql +1").expect(0);
    run(folder.path(), "db upgrade").expect(0);
    let script = run(folder.path(), "db downgrade --sql -1").expect(0).output;
    assert!(script.starts_with(&format!("-- {NEWEST}, down\nBEGIN")), "{script}");
    assert_eq!(run(folder.path(), "db current").expect(0).output, format!("{NEWEST}\n"));
}

#[test]
fn invalid_revision_is_rejected() {
    let folder = folder();
    run(folder.path(), "db upgrade 2").expect(0);
    let cases = [
        ("upgrade 99", "there is no revision \"99\""),
        ("upgrade 0", "there is no revision \"0\""),
        ("upgrade 0002", ""),
        ("upgrade nonsense", "there is no revision \"nonsense\""),
        ("upgrade +x", "there is no revision \"+x\""),
        ("upgrade +99", "+99 leads beyond the newest revision"),
        ("upgrade 1", "1 does not lead up: the database is at 0002_downvotes"),
        ("downgrade -3", "-3 leads beyond the base revision"),
        ("downgrade 3", "3 does not lead down: the database is at 0002_downvotes"),
        ("downgrade", "required"),
        ("stamp nonsense", "there is no revision"),
    ];
    for (command, problem) in cases {
        let outcome = run(folder.path(), &format!("db {command}"));
        let expected = if problem.is_empty() { 0 } else { 2 };
        let outcome = outcome.expect(expected);
        assert!(outcome.error.contains(problem), "{command}: {}", outcome.error);
    }
    assert_eq!(run(folder.path(), "db current").expect(0).output, "0002_downvotes\n");
}

#[test]
fn stamp_records_a_revision_without_running_it() {
    let folder = folder();
    assert_eq!(run(folder.path(), "db stamp 3").expect(0).output, "0003_vote_counts\n");
    assert_eq!(run(folder.path(), "db current").expect(0).output, "0003_vote_counts\n");
    run(folder.path(), "db stamp base").expect(0);
    assert_eq!(run(folder.path(), "db current").expect(0).output, "base\n");
    run(folder.path(), "db upgrade").expect(0);
    run(folder.path(), "db check").expect(0);
}

#[test]
fn database_with_unknown_or_changed_migration_is_rejected() {
    let cases = [
        (
            "INSERT INTO schema_migrations VALUES ('0009_later', 'x', 0, NULL)",
            "0009_later, which this",
        ),
        (
            "UPDATE schema_migrations SET checksum = 'x' WHERE revision LIKE '0002%'",
            "0002_downvotes",
        ),
    ];
    for (change, problem) in cases {
        let folder = folder();
        run(folder.path(), "db upgrade").expect(0);
        open(folder.path()).execute_batch(change).unwrap();
        for command in
            ["db upgrade", "db downgrade base", "db check", "db current", "serve --port 0"]
        {
            let outcome = run(folder.path(), command).expect(1);
            assert!(outcome.error.contains(problem), "{command}: {}", outcome.error);
        }
    }
}

#[test]
fn unusable_database_file_exits_with_2() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("data/posts.db")).unwrap();
    for command in ["upgrade", "downgrade base", "current", "history", "check", "verify", "stamp 1"]
    {
        let outcome = run(folder.path(), &format!("db {command}")).expect(2);
        let expected = "error: ./data/posts.db is a folder; name another file in DATABASE_URL";
        assert!(outcome.error.starts_with(expected), "{}", outcome.error);
    }
}

#[test]
fn concurrent_upgrades_run_each_step_once() {
    for _ in 0..3 {
        let folder = folder();
        let start = || {
            Service::command(folder.path())
                .args(["db", "upgrade"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (0..8).map(|_| start()).collect();
        let mut steps: Vec<String> = Vec::new();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{error}");
            let output = String::from_utf8(output.stdout).unwrap();
            steps.extend(output.lines().filter(|line| *line != "nothing to do").map(str::to_owned));
        }
        steps.sort();
        assert_eq!(steps, REVISIONS.map(|revision| format!("up   {revision}")));
        run(folder.path(), "db check").expect(0);
    }
}
