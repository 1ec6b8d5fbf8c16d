//! `BACKUP_DIR`, `BACKUP_EVERY` and `BACKUP_KEEP`.

use std::path::PathBuf;
use std::time::Duration;

use post_api::config::BackupSchedule;

use super::settings::{GOOD_SECRET, errors, load};

#[test]
fn backups_are_off_until_a_folder_is_named() {
    assert_eq!(load(&[("BACKUP_EVERY", "1h"), ("BACKUP_KEEP", "3")]).backups, None);
    let default = BackupSchedule {
        folder: PathBuf::from("/backups"),
        every: Duration::from_hours(24),
        keep: 7,
    };
    assert_eq!(load(&[("BACKUP_DIR", "/backups")]).backups, Some(default));
}

#[test]
fn interval_is_a_number_and_a_unit_between_a_minute_and_31_days() {
    for (text, minutes) in [("60s", 1), ("1m", 1), ("90m", 90), ("12h", 720), ("31d", 44_640)] {
        let settings = load(&[("BACKUP_DIR", "b"), ("BACKUP_EVERY", text)]);
        assert_eq!(settings.backups.unwrap().every, Duration::from_mins(minutes), "{text}");
    }
    for text in ["59s", "0m", "32d", "24", "h", "-1h", "+1h", "1 h", "1w", "99999999999999999999d"]
    {
        // Checked also while there is no folder.
        let found = errors(&[("BACKUP_EVERY", text)]);
        assert_eq!(found[0].name, "BACKUP_EVERY", "{text}");
    }
    for text in ["0", "-1", "10001", "all"] {
        assert_eq!(errors(&[("BACKUP_KEEP", text)])[0].name, "BACKUP_KEEP", "{text}");
    }
}

#[test]
fn backups_of_postgresql_are_a_fault_of_the_setting() {
    let postgres = [
        ("DATABASE_URL", "postgresql://a@b/c"),
        ("SECRET_KEY", GOOD_SECRET),
        ("BACKUP_DIR", "backups"),
    ];
    let found = errors(&postgres);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "BACKUP_DIR: is set, but the service backs up only the embedded database; remove it, and back \
         up PostgreSQL with pg_dump or pg_basebackup"
    );
}
