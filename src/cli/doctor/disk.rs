//! The checks of the disks: free space, and the kind of the file system.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::config::{Database, Settings};
use crate::store::inspection::Finding;

/// A disk with less free space than this percentage is nearly full.
const LEAST_FREE: u64 = 10;

/// File systems without the locks and the shared memory that SQLite needs, by their magic number
/// (statfs(2)).
const REMOTE: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB 2"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
];

/// Returns the folders in which the service writes.
fn written_folders(settings: &Settings) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Database::Sqlite(database) = &settings.database {
        folders.extend([settings.data_dir.clone(), folder_of(database)]);
    }
    folders.extend(settings.backups.iter().map(|schedule| schedule.folder.clone()));
    folders.iter().map(|folder| existing(folder)).collect()
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Returns the nearest folder that exists: the service creates its folders.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|folder| folder.is_dir());
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

pub(super) fn check_space(settings: &Settings) -> Finding {
    let mut least: Option<(u64, PathBuf)> = None;
    for folder in written_folders(settings) {
        match statvfs(&folder) {
            Ok(disk) => {
                let percent = free_percent(disk.f_bavail, disk.f_blocks);
                if least.as_ref().is_none_or(|(other, _)| percent < *other) {
                    least = Some((percent, folder));
                }
            }
            Err(error) => {
                return Finding::fail(format!("{}: {error}", folder.display()), "");
            }
        }
    }
    match least {
        None => Finding::ok("the service writes no files"),
        Some((percent, folder)) => judge_space(percent, &folder),
    }
}

fn free_percent(free: u64, all: u64) -> u64 {
    u64::try_from(u128::from(free) * 100 / u128::from(all.max(1))).unwrap_or(0)
}

fn judge_space(percent: u64, folder: &Path) -> Finding {
    let detail = format!("{percent} % of the disk of {} is free", folder.display());
    if percent >= LEAST_FREE {
        return Finding::ok(detail);
    }
    Finding::warn(
        detail,
        "free space on it, or move DATA_DIR or BACKUP_DIR: a full disk stops writes",
    )
}

pub(super) fn check_file_system(settings: &Settings) -> Finding {
    let Database::Sqlite(database) = &settings.database else {
        return Finding::ok("the database is not in a file of this machine");
    };
    let folder = existing(&folder_of(database));
    match magic_number(&folder) {
        Ok(Some(magic)) => judge_file_system(magic, &folder),
        Ok(None) => Finding::skipped("the kind of a file system is known only on Linux"),
        Err(error) => Finding::fail(format!("{}: {error}", folder.display()), ""),
    }
}

fn judge_file_system(magic: u64, folder: &Path) -> Finding {
    let folder = folder.display();
    match REMOTE.iter().find(|(remote, _)| *remote == magic) {
        None => Finding::ok(format!("{folder} is on a local file system")),
        Some((_, name)) => Finding::warn(
            format!("{folder} is on {name}, whose locks can fail: the database can be damaged"),
            "move the database to a disk of this machine, or use PostgreSQL",
        ),
    }
}

#[cfg(target_os = "linux")]
fn magic_number(folder: &Path) -> std::io::Result<Option<u64>> {
    let magic = rustix::fs::statfs(folder)?.f_type;
    // The type of the field depends on the architecture; the numbers have 32 bits.
    Ok(u64::try_from(i128::from(magic) & 0xffff_ffff).ok())
}

#[cfg(not(target_os = "linux"))]
fn magic_number(_: &Path) -> std::io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::inspection::Verdict;

    #[test]
    fn disk_with_less_than_a_tenth_free_is_reported() {
        for (free, all, percent, verdict) in [
            (100, 100, 100, Verdict::Ok),
            (10, 100, 10, Verdict::Ok),
            (99, 1000, 9, Verdict::Warn),
            (0, 0, 0, Verdict::Warn),
            (u64::MAX, u64::MAX, 100, Verdict::Ok),
        ] {
            assert_eq!(free_percent(free, all), percent, "{free} of {all}");
            assert_eq!(judge_space(percent, Path::new("data")).verdict, verdict, "{free} of {all}");
        }
    }

    #[test]
    fn remote_file_system_is_reported() {
        let folder = Path::new("data");
        for (magic, name) in [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x6573_5546, "FUSE")] {
            let finding = judge_file_system(magic, folder);
            assert_eq!(finding.verdict, Verdict::Warn, "{name}");
            assert!(finding.detail.contains(name), "{finding:?}");
        }
        // ext4, XFS, Btrfs, overlayfs and tmpfs.
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630, 0x0102_1994] {
            assert_eq!(judge_file_system(magic, folder).verdict, Verdict::Ok, "{magic:x}");
        }
    }

    #[test]
    fn missing_folder_is_judged_by_the_nearest_one() {
        let folder = tempfile::TempDir::new().unwrap();
        assert_eq!(existing(&folder.path().join("data/more")), folder.path());
        assert_eq!(existing(Path::new("no-such-folder/more")), Path::new("."));
    }
}
