//! PostgreSQL's programs, and the user that runs them.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Returns the folder of PostgreSQL's programs.
pub fn find_programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("POSTGRES_BIN") {
        return PathBuf::from(folder);
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.map(|entry| entry.unwrap().path().join("bin")).collect())
        .unwrap_or_default();
    // Ascending, so that the newest version comes first after `rev`.
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&path).collect::<Vec<_>>();
    let mut folders = path.into_iter().chain(folders).rev();
    let is_complete = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "pg_dump"].iter().all(|program| folder.join(program).exists())
    };
    folders
        .find(is_complete)
        .expect("could not find PostgreSQL's programs: run `scripts/test` or set POSTGRES_BIN")
}

/// Returns the user for PostgreSQL if this process runs as root, because PostgreSQL refuses to run
/// as root.
fn server_user() -> Option<&'static str> {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    is_root.then_some("postgres")
}

/// Returns a command that runs the program in the folder, as the user for PostgreSQL.
pub fn server_command(folder: &Path, program: &Path) -> Command {
    let mut command = match server_user() {
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"]);
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Gives the file or folder to the user for PostgreSQL.
pub fn chown_to_server(folder: &Path) {
    let Some(user) = server_user() else { return };
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
    let id = |column| line.split(':').nth(column).unwrap().parse().ok();
    chown(folder, id(2), id(3)).unwrap();
}

/// Starts a shell that stops the server and removes its folder when this process ends.
pub(super) fn supervise(programs: &Path, folder: &Path) -> Child {
    const SCRIPT: &str =
        r#"read -r _; "$@" -D data -s -m immediate stop 2>/dev/null; cd /; rm -rf "$FOLDER""#;
    let stop = server_command(folder, &programs.join("pg_ctl"));
    Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(stop.get_program())
        .args(stop.get_args())
        .env("FOLDER", folder)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group, so that Ctrl-C in the terminal does not end it before the tests.
        .process_group(0)
        .spawn()
        .unwrap()
}
