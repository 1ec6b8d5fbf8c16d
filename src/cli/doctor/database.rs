//! The checks of the database: whether it can be opened, and then those of its store.

use std::path::Path;

use super::DATABASE;
use crate::clock::{Clock as _, SystemClock};
use crate::store::inspection::{Finding, Inspection, InspectionStore, NamedFinding};
use crate::store::migrate::{MigrateError, MigrateResult};
use crate::store::postgres::is_refused;

/// Runs the checks of the store. If the database could not be opened, the checks are skipped.
/// `cure` is for errors that name none.
pub(super) async fn inspect(
    opened: MigrateResult<(impl InspectionStore, String)>,
    checks: &[&'static str],
    is_full: bool,
    cure: &str,
) -> Vec<NamedFinding> {
    match opened {
        Ok((mut inspector, location)) => {
            let now = || SystemClock.now();
            let mut findings = vec![(DATABASE, Finding::ok(location))];
            findings.extend(inspector.inspect(Inspection { is_full, now: &now }).await);
            findings
        }
        Err(error) => skip_all(describe_error(error, cure), checks),
    }
}

/// Describes an embedded database that does not exist yet.
pub(super) fn describe_missing(path: &Path, checks: &[&'static str]) -> Vec<NamedFinding> {
    let detail = format!("there is no database {} yet", path.display());
    let cure = "start the service, which creates it, or correct DATABASE_URL or DATA_DIR";
    skip_all(Finding::warn(detail, cure), checks)
}

fn skip_all(finding: Finding, checks: &[&'static str]) -> Vec<NamedFinding> {
    let skipped = |check: &&'static str| (*check, Finding::skipped("the database is not open"));
    std::iter::once((DATABASE, finding)).chain(checks.iter().map(skipped)).collect()
}

fn describe_error(error: MigrateError, cure: &str) -> Finding {
    match error {
        MigrateError::UnusableFile { path, problem, hint } => {
            Finding::fail(format!("{path} {problem}"), hint)
        }
        MigrateError::Store(error) => {
            let cure = if is_refused(&error) { "" } else { cure };
            Finding::fail(format!("{:#}", anyhow::Error::from(error)), cure)
        }
        error => Finding::fail(error.to_string(), ""),
    }
}
