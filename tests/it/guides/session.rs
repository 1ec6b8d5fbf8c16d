//! A shell in an empty folder, with the service on its path.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any command takes on a busy machine.
const LONG: Duration = Duration::from_mins(2);

/// The line that ends the output of a command, followed by its exit code.
const END: &str = "\u{1e}end of the command ";

pub(super) struct Session {
    shell: Child,
    input: ChildStdin,
    output: Receiver<String>,
    folder: TempDir,
    /// Has the binary and the output of the service, so that `folder` begins empty.
    outside: TempDir,
    service: Option<String>,
    /// The URL of the service that was started last.
    pub(super) url: String,
}

impl Session {
    pub(super) fn start() -> Self {
        let (folder, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        symlink(binary(), outside.path().join("post-api")).unwrap();
        let path = format!("{}:{}", outside.path().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder.path())
            .env_clear()
            .envs([("PATH", path.as_str()), ("LC_ALL", "C.UTF-8")])
            // A port that the system chooses.
            .env("PORT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            for line in lines {
                let _ = sender.send(line.unwrap());
            }
        });
        let url = String::new();
        Self { shell, input, output, folder, outside, service: None, url }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the command and returns its output. It must end with exit code 0.
    pub(super) fn run(&mut self, command: &str) -> String {
        let script = format!("{{\n{command}\n}} </dev/null 2>&1\necho \"\n{END}$?\"\n");
        self.input.write_all(script.as_bytes()).unwrap();
        let mut output = Vec::new();
        loop {
            let line = self.output.recv_timeout(LONG);
            let line = line.unwrap_or_else(|_| panic!("{command} does not end: {output:?}"));
            if let Some(code) = line.strip_prefix(END) {
                assert_eq!(code, "0", "{command}\n{}", output.join("\n"));
                return output.join("\n").trim_end().to_owned();
            }
            output.push(line);
        }
    }

    /// Starts the command that serves, after the service before has stopped. Returns its banner.
    pub(super) fn serve(&mut self, command: &str) -> String {
        self.stop();
        let log = self.outside.path().join("log");
        // The banner of the service before must not be read as that of this one.
        let _ = std::fs::remove_file(&log);
        let command = command.split("  #").next().unwrap();
        self.service = Some(self.run(&format!("{command} >{} 2>&1 & echo $!", log.display())));
        let end = Instant::now() + LONG;
        loop {
            let output = std::fs::read_to_string(&log).unwrap_or_default();
            if output.lines().any(|line| line.starts_with("  Data  ")) {
                let banner = banner(&output);
                let url = banner.lines().find_map(|line| line.strip_prefix("  API   "));
                url.unwrap_or_else(|| panic!("{output}")).clone_into(&mut self.url);
                return banner;
            }
            assert!(Instant::now() < end, "{command} does not serve: {output}");
            std::thread::yield_now();
        }
    }

    /// Stops the service, if one runs. It must end with exit code 0.
    pub(super) fn stop(&mut self) {
        if let Some(process) = self.service.take() {
            self.run(&format!("kill {process}; wait {process}"));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(process) = &self.service {
            let _ = Command::new("kill").args(["-KILL", process]).status();
        }
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Returns the output of the service without the log: its lines begin with a time.
fn banner(output: &str) -> String {
    let is_event = |line: &&str| line.starts_with("20");
    let lines: Vec<&str> = output.lines().filter(|line| !is_event(line)).collect();
    lines.join("\n")
}

/// Returns the binary that the pages are tried with: `POST_API`, such as a release build, or the one
/// that cargo built for the tests.
fn binary() -> PathBuf {
    let given = std::env::var_os("POST_API").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_post-api")))
}
