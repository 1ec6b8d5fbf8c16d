//! The check of the backups that the service makes by itself.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Access, access};

use crate::cli::scheduled_backups::find_backups;
use crate::config::{BackupSchedule, Settings};
use crate::store::inspection::Finding;

const CURE: &str = "look for `backup failed` in the log of the service, which must run with the \
                    same BACKUP_DIR";

/// Checks that the newest backup is younger than two intervals.
pub(super) fn check(settings: &Settings, now: Timestamp) -> Finding {
    match &settings.backups {
        None => Finding::ok("BACKUP_DIR is not set: the service makes no backups by itself"),
        Some(schedule) => check_schedule(schedule, now),
    }
}

fn check_schedule(schedule: &BackupSchedule, now: Timestamp) -> Finding {
    let folder = schedule.folder.display();
    if !schedule.folder.exists() {
        return Finding::warn(format!("there is no folder {folder} yet"), CURE);
    }
    let backups = match find_backups(&schedule.folder) {
        Ok(backups) => backups,
        Err(error) => {
            return Finding::fail(format!("{folder} cannot be read: {error}"), access_cure());
        }
    };
    if !is_writable(&schedule.folder) {
        return Finding::fail(format!("{folder} cannot be written"), access_cure());
    }
    let Some(newest) = backups.iter().map(|(at, _)| *at).max() else {
        return Finding::warn(format!("{folder} has no backup yet"), CURE);
    };
    let age = now.duration_since(newest);
    let due = SignedDuration::try_from(schedule.every).unwrap_or(SignedDuration::MAX);
    let detail = format!("the newest backup in {folder} is of {newest:.0}");
    if age > due.saturating_add(due) {
        return Finding::fail(format!("{detail}, older than two BACKUP_EVERY"), CURE);
    }
    Finding::ok(detail)
}

fn is_writable(folder: &Path) -> bool {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn access_cure() -> String {
    format!(
        "make BACKUP_DIR a folder in which the user of the service, {}, can create files",
        crate::file_access::user()
    )
}
