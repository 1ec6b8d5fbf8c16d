//! Prints the findings, one line per check.

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::list_lines::{escape, json_line};
use crate::cli::output::print;
use crate::store::inspection::{NamedFinding, Verdict};

pub(super) struct Report {
    is_json: bool,
    has_failed: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    status: &'a str,
    detail: &'a str,
    cure: &'a str,
}

impl Report {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, has_failed: false }
    }

    pub(super) fn add(&mut self, (check, finding): NamedFinding) -> Result<(), Exit> {
        self.has_failed |= finding.verdict == Verdict::Fail;
        let (detail, cure) = (finding.detail.as_str(), finding.cure.as_str());
        if self.is_json {
            let status = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "fail",
                Verdict::Skipped => "skipped",
            };
            return print(&json_line(&Line { check, status, detail, cure })?);
        }
        let word = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skipped",
        };
        // A server or a file may have any text.
        let mut lines = format!("{word:<8}{check}: {}\n", escape(detail));
        if !cure.is_empty() {
            lines.extend(["        ", &escape(cure), "\n"]);
        }
        print(&lines)
    }

    /// # Errors
    /// [`Exit::CheckFailed`] if a check has failed.
    pub(super) fn finish(self) -> Result<(), Exit> {
        if self.has_failed { Err(Exit::CheckFailed(Vec::new())) } else { Ok(()) }
    }
}
