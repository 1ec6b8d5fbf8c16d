//! Backs up the embedded database while the service runs, on a thread of its own.
//!
//! Not here: a backup, see `store/sqlite/backup/`.

use std::convert::Infallible;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::config::BackupSchedule;
use crate::file_access::ignore_missing;
use crate::store::sqlite::{BackupError, back_up, remove_partial};
use crate::worker_pool::lower_priority;

/// After a failure the next attempt is made this early, at most.
const RETRY: Duration = Duration::from_hours(1);

/// The clock is read this often, in case an operator sets it.
const PAUSE: Duration = Duration::from_mins(1);

/// The names of backups sort by time.
const NAME: &str = "posts-%Y%m%dT%H%M%SZ.db";

/// Dropping it ends the thread after the current backup.
pub(super) struct ScheduledBackups {
    _stop: Sender<Infallible>,
}

impl ScheduledBackups {
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(
        database: &Path,
        schedule: BackupSchedule,
        clock: impl Clock,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let database = database.to_owned();
        std::thread::Builder::new().name("backup".to_owned()).spawn(move || {
            lower_priority();
            let mut work = Work { database, schedule, last: None };
            work.run(&clock, &stopped);
        })?;
        Ok(Self { _stop: stop })
    }
}

struct Work {
    database: PathBuf,
    schedule: BackupSchedule,
    /// The last backup, as far as it is not in the future.
    last: Option<Timestamp>,
}

impl Work {
    fn run(&mut self, clock: &impl Clock, stopped: &Receiver<Infallible>) {
        let now = clock.now();
        let made = find_backups(&self.schedule.folder).unwrap_or_default();
        self.last = made.iter().map(|(at, _)| *at).filter(|at| *at <= now).max();
        let mut due = self.last.map_or(now, |last| after(last, self.schedule.every));
        loop {
            let now = clock.now();
            if now >= due {
                due = self.back_up(now);
                continue;
            }
            let wait = Duration::try_from(due.duration_since(now)).unwrap_or(PAUSE);
            if stopped.recv_timeout(wait.min(PAUSE)) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Makes a backup, and returns when the next one is due.
    fn back_up(&mut self, now: Timestamp) -> Timestamp {
        let path = self.schedule.folder.join(now.strftime(NAME).to_string());
        match self.write(&path) {
            Ok(()) => {
                self.last = Some(now);
                if let Err(error) = remove_old(&self.schedule.folder, self.schedule.keep) {
                    let folder = self.schedule.folder.display();
                    tracing::error!(%folder, %error, "could not remove an old backup; remove it by hand");
                }
                after(now, self.schedule.every)
            }
            Err(error) => {
                let cure = cure(&error);
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(path = %path.display(), error, cure, "backup failed");
                after(now, self.schedule.every.min(RETRY))
            }
        }
    }

    fn write(&self, path: &Path) -> Result<(), BackupError> {
        let folder = &self.schedule.folder;
        let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        created.map_err(|source| BackupError::File {
            action: "create the folder",
            path: folder.display().to_string(),
            source,
        })?;
        remove_partials(folder);
        let backup = back_up(&self.database, path, false)?;
        let (bytes, users, posts) = (backup.bytes, backup.users, backup.posts);
        tracing::info!(path = %path.display(), bytes, users, posts, "backup written");
        Ok(())
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

fn cure(error: &BackupError) -> &'static str {
    match error {
        BackupError::Unsound { .. } => {
            "run `post-api db check` and `post-api db verify --repair`, or restore an older backup"
        }
        _ => "check the owner, the permissions and the free space of BACKUP_DIR",
    }
}

/// Returns the backups of the folder that this thread has made, with their time.
pub(super) fn find_backups(folder: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let mut backups = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let time = entry.file_name().to_str().and_then(parse_name);
        backups.extend(time.map(|time| (time, entry.path())));
    }
    Ok(backups)
}

fn parse_name(name: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(NAME, name).ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // Parsing is lenient.
    (time.strftime(NAME).to_string() == name).then_some(time)
}

fn remove_old(folder: &Path, keep: usize) -> io::Result<()> {
    let mut backups = find_backups(folder)?;
    backups.sort();
    let old = backups.len().saturating_sub(keep);
    for (_, path) in backups.iter().take(old) {
        std::fs::remove_file(path)?;
        ignore_missing(std::fs::remove_file(path.with_extension("db.sha256")))?;
    }
    Ok(())
}

/// Removes what a killed process has left.
fn remove_partials(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        let backup = name.and_then(|name| name.strip_suffix(".partial"));
        if backup.and_then(parse_name).is_some() {
            remove_partial(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_names_of_scheduled_backups_are_recognized() {
        let time: Timestamp = "2026-11-29T10:00:07Z".parse().unwrap();
        assert_eq!(parse_name(&time.strftime(NAME).to_string()), Some(time));
        for name in [
            "posts.db",
            "posts-20261129T100007Z.db.sha256",
            "posts-20261129T100007Z.db.partial",
            "posts-20261129T100007.db",
            "posts-20261329T100007Z.db",
            "posts-20261129T10007Z.db",
            "my-posts-20261129T100007Z.db",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn oldest_backups_and_their_checksums_are_removed_and_other_files_stay() {
        let folder = TempDir::new().unwrap();
        let names = [
            "posts-20261127T100000Z.db",
            "posts-20261127T100000Z.db.sha256",
            "posts-20261128T100000Z.db",
            "posts-20261129T100000Z.db",
            "posts-20261129T100000Z.db.sha256",
            "posts-20261126T100000Z.db.kept",
            "notes",
        ];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        remove_old(folder.path(), 2).unwrap();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(folder.path().join(name).exists(), number >= 2, "{name}");
        }
        remove_old(folder.path(), 9).unwrap();
        assert!(folder.path().join(names[2]).exists());
    }

    #[test]
    fn next_backup_is_due_after_the_interval_and_retried_within_an_hour() {
        let time: Timestamp = "2026-11-29T10:00:00Z".parse().unwrap();
        let folder = TempDir::new().unwrap();
        let day = Duration::from_hours(24);
        let schedule = BackupSchedule { folder: folder.path().join("new"), every: day, keep: 1 };
        let database = folder.path().join("missing/posts.db");
        let mut work = Work { database, schedule, last: None };
        assert_eq!(work.back_up(time), "2026-11-29T11:00:00Z".parse().unwrap());
        work.schedule.every = Duration::from_mins(5);
        assert_eq!(work.back_up(time), "2026-11-29T10:05:00Z".parse().unwrap());
        assert_eq!(work.last, None);
    }
}
