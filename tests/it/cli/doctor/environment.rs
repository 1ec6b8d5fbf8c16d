//! The checks of what the system gives to the process: its rights, open files and disks.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{doctor, run};
use crate::cli::folder;
use crate::support::{Service, create_sqlite_file};

/// Returns the command without the rights of root, which can read and write every file.
fn without_privileges(folder: &Path) -> Command {
    let mut command = Service::command_without_privileges(folder, "exec \"$0\" doctor");
    command.env("PORT", "0");
    command
}

#[tokio::test]
async fn files_that_the_service_cannot_write_are_reported() {
    let folder = folder();
    create_sqlite_file(&folder.path().join("data/posts.db")).await;
    run(&mut without_privileges(folder.path())).expect("file-access", "ok", "");
    for (name, mode, sound) in [("data/posts.db", 0o400, 0o600), ("data", 0o500, 0o700)] {
        let path = folder.path().join(name);
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let report = run(&mut without_privileges(folder.path()));
        report.expect("file-access", "FAIL", &format!("{name}: the user of this command"));
        std::fs::set_permissions(&path, Permissions::from_mode(sound)).unwrap();
    }
}

/// The first start could not create them.
#[test]
fn folders_that_cannot_be_created_are_reported() {
    let folder = folder();
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, Permissions::from_mode(0o500)).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (name, value, text) in [
        ("DATA_DIR", "locked", "locked: the user of this command cannot create files in it"),
        ("DATA_DIR", "locked/data", "locked: the user of this command cannot create files in it"),
        ("DATA_DIR", "dangling", "dangling: it is not a folder"),
        ("DATA_DIR", "file/data", "file: it is not a folder"),
        ("DATABASE_URL", "sqlite:missing/posts.db", "missing: there is no such folder"),
    ] {
        let report = run(without_privileges(folder.path()).env(name, value));
        report.expect("file-access", "FAIL", text);
    }
    let report = run(without_privileges(folder.path()).env("DATA_DIR", "new/data"));
    report.expect("file-access", "ok", "");
}

#[test]
fn folder_of_backups_that_cannot_be_written_is_reported() {
    let folder = folder();
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    std::fs::set_permissions(&backups, Permissions::from_mode(0o500)).unwrap();
    let report = run(without_privileges(folder.path()).env("BACKUP_DIR", "backups"));
    report.expect("backups", "FAIL", "backups cannot be written");
}

#[test]
fn limit_on_open_files_is_reported() {
    let folder = folder();
    let binary = Service::command(folder.path());
    for (files, status) in [("264", "warn"), ("16584", "ok")] {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={files}:{files}")).arg(binary.get_program());
        command.arg("doctor").current_dir(folder.path()).env("PORT", "0");
        let connections = files.parse::<u32>().unwrap() - 200;
        let text = format!("{connections} connections can be open");
        run(&mut command).expect("open-files", status, &text);
    }
}

/// The mount exists only in the namespace of the command.
#[test]
fn full_disk_is_reported() {
    let folder = folder();
    let script = "mount -t tmpfs -o size=1m none data && head -c 1000000 /dev/zero > data/large && \
                  exec \"$0\" doctor";
    let service = Service::command(folder.path());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.arg(service.get_program()).current_dir(folder.path()).env("PORT", "0");
    run(&mut command).expect("disk-space", "warn", "% of the disk of ./data is free");
    // The machine of the tests may have a full disk too.
    let line = doctor(folder.path(), "", &[]).line("disk-space").clone();
    assert!(line.text.contains("% of the disk of ./data is free"), "{line:?}");
}
