//! The settings of the backups that the service makes by itself.

use std::path::PathBuf;
use std::time::Duration;

use super::definitions as row;
use super::parse::Parser;
use super::{Database, SettingError};

/// When the service copies the embedded database, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    pub folder: PathBuf,
    /// Between one minute and 31 days.
    pub every: Duration,
    /// How many backups stay.
    pub keep: usize,
}

impl Parser<'_> {
    /// Checks each setting even if there is no folder, so that naming one causes no error.
    pub(super) fn backups(&mut self, database: &Database) -> Option<BackupSchedule> {
        let (every, keep) = (self.backup_interval(), self.int(&row::BACKUP_KEEP));
        let folder = PathBuf::from(self.text(&row::BACKUP_DIR));
        if folder.as_os_str().is_empty() {
            return None;
        }
        if matches!(database, Database::Postgres(_)) {
            self.errors.push(SettingError::new(
                row::BACKUP_DIR.name,
                "is set, but the service backs up only the embedded database",
                "remove it, and back up PostgreSQL with pg_dump or pg_basebackup",
            ));
        }
        Some(BackupSchedule { folder, every, keep })
    }

    fn backup_interval(&mut self) -> Duration {
        let text = self.text(&row::BACKUP_EVERY);
        parse_interval(text).unwrap_or_else(|| {
            let hint = "give a time from 1m to 31d, such as 30m, 24h or 7d";
            self.reject(&row::BACKUP_EVERY, text, hint);
            Duration::ZERO
        })
    }
}

fn parse_interval(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if is_plain { number.parse().ok()? } else { return None };
    let seconds = number.checked_mul(unit)?;
    (60..=31 * 24 * 60 * 60).contains(&seconds).then(|| Duration::from_secs(seconds))
}
