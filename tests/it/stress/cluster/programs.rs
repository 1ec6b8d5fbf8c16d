//! The programs of a cluster. They run as PostgreSQL's user in one folder, and end with the test.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use crate::support::{chown_to_server, server_command};

/// Ends every process whose working folder is in `$FOLDER`, until none starts another.
const SUPERVISOR: &str = r#"read -r _
while
    found=
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd")" in
            "$FOLDER"*) found=yes; kill -9 "${process#/proc/}" ;;
        esac
    done
    [ -n "$found" ]
do sleep 0.1; done
rm -rf "$FOLDER""#;

pub(super) struct Programs {
    folder: PathBuf,
    /// Each with the name of its folder.
    children: Mutex<Vec<(String, Child)>>,
    /// Ends the programs and removes the folder when its standard input is closed.
    _supervisor: Child,
}

impl Programs {
    pub(super) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("posts-cluster-").tempdir().unwrap().keep();
        chown_to_server(&folder);
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR])
            .env("FOLDER", &folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group, so that Ctrl-C in the terminal does not end it before the tests.
            .process_group(0)
            .spawn()
            .unwrap();
        Self { folder, children: Mutex::default(), _supervisor: supervisor }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates a folder that belongs to PostgreSQL's user, with a file in it.
    pub(super) fn write(&self, name: &str, file: &str, text: &str) {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
        for path in [folder.join(file), folder] {
            chown_to_server(&path);
        }
    }

    /// Starts a program in the folder of this name. Its output is appended to `NAME.log`.
    pub(super) fn start(&self, name: &str, program: &Path, configure: impl FnOnce(&mut Command)) {
        let mut command = server_command(&self.folder.join(name), program);
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        configure(&mut command);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.children.lock().unwrap().push((name.to_owned(), child));
    }

    /// Returns the process that was started last in the folder of this name.
    pub(super) fn started(&self, name: &str) -> u32 {
        let children = self.children.lock().unwrap();
        children.iter().rfind(|(folder, _)| folder == name).unwrap().1.id()
    }

    pub(super) fn log(&self, name: &str) -> String {
        let text = fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sends the signal (`-STOP`) to every process whose working folder is in the folder of this
    /// name. Returns how many there were.
    pub(super) fn signal(&self, signal: &str, name: &str) -> usize {
        let processes = self.find_processes(name);
        if !processes.is_empty() {
            // A process may have ended meanwhile.
            let _ =
                Command::new("kill").arg(signal).args(&processes).stderr(Stdio::null()).status();
        }
        processes.len()
    }

    /// Ends every process of the folder with SIGKILL, as a power cut does.
    pub(super) fn kill(&self, name: &str) {
        while self.signal("-KILL", name) > 0 {
            // Removes those that have ended.
            self.children
                .lock()
                .unwrap()
                .retain_mut(|(_, child)| child.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
    }

    fn find_processes(&self, name: &str) -> Vec<String> {
        let folder = self.folder.join(name);
        let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        entries
            .filter(|entry| {
                fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
            })
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_process(name))
            .collect()
    }
}
