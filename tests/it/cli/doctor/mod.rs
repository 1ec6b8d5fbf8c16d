//! `post-api doctor`. Each check has a test that breaks what it checks.

mod database_file;
mod environment;
mod postgres;
mod readonly;
mod report;
mod settings;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::Service;

/// Checks whose outcome depends on the machine of the tests.
const MACHINE: [&str; 4] = ["disk-space", "file-system", "open-files", "memory"];

/// A line of the report with its cure.
#[derive(Debug, Clone)]
struct Line {
    status: String,
    check: String,
    text: String,
}

struct Report {
    code: i32,
    lines: Vec<Line>,
    output: String,
}

impl Report {
    fn parse(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let error = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(error, "", "{text}");
        let mut lines: Vec<Line> = Vec::new();
        for line in text.lines() {
            let (status, rest) = line.split_at(8);
            if status.trim().is_empty() {
                let found = lines.last_mut().unwrap();
                found.text = format!("{} | {rest}", found.text);
                continue;
            }
            let (check, detail) = rest.split_once(": ").unwrap();
            lines.push(Line {
                status: status.trim().to_owned(),
                check: check.to_owned(),
                text: detail.to_owned(),
            });
        }
        Self { code: output.status.code().unwrap(), lines, output: text }
    }

    fn line(&self, check: &str) -> &Line {
        let mut lines = self.lines.iter().filter(|line| line.check == check);
        let line = lines.next().unwrap_or_else(|| panic!("no {check}: {}", self.output));
        assert!(lines.next().is_none(), "{check} twice: {}", self.output);
        line
    }

    /// Asserts the status and a part of the text of a check, and that the exit code fits.
    #[track_caller]
    fn expect(&self, check: &str, status: &str, text: &str) -> &Self {
        let line = self.line(check);
        assert_eq!(line.status, status, "{check}: {}", self.output);
        assert!(line.text.contains(text), "{check}, {text}: {}", self.output);
        let has_failed = self.lines.iter().any(|line| line.status == "FAIL");
        assert_eq!(self.code, i32::from(has_failed), "{}", self.output);
        self
    }

    /// Asserts that every check is ok, those of the machine excepted.
    #[track_caller]
    fn expect_healthy(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.output);
        for line in &self.lines {
            let is_allowed = match line.status.as_str() {
                "ok" => true,
                "warn" => MACHINE.contains(&line.check.as_str()),
                "skipped" => line.text == "it reads every page: add --full",
                _ => false,
            };
            assert!(is_allowed, "{}: {}", line.check, self.output);
        }
        self
    }

    fn checks(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.check.as_str()).collect()
    }
}

/// Runs the command. It does not look at a port, unless the environment names one.
fn doctor(folder: &Path, arguments: &str, environment: &[(&str, &str)]) -> Report {
    let mut command = Service::command(folder);
    command.arg("doctor").args(arguments.split_whitespace());
    run(command.env("PORT", "0").envs(environment.iter().copied()))
}

fn run(command: &mut Command) -> Report {
    Report::parse(&command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap())
}
