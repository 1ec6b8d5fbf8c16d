//! Chromedriver, which starts and drives browsers.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Ends chromedriver and removes its folder when this process ends. The browsers end with it. Only
/// chromedriver has the output, so that its end can be read.
const SUPERVISOR: &str = r#"chromedriver --port=0 &
    exec >/dev/null
    read -r _
    kill -9 $!
    until rm -rf "$FOLDER" 2>/dev/null; do sleep 0.1; done"#;

/// The chromedriver process, and the folder for the profiles of its browsers.
pub(super) struct Driver {
    /// A shell. It ends chromedriver when its standard input is closed.
    supervisor: Child,
    pub(super) url: String,
    pub(super) folder: PathBuf,
}

impl Driver {
    pub(super) fn start() -> Self {
        let folder = TempDir::new().unwrap().keep();
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR])
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Its own group, so that Ctrl-C in the terminal does not end it before the tests.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(supervisor.stdout.take().unwrap());
        let mut text = String::new();
        let port = loop {
            let length = output.read_line(&mut text).unwrap();
            assert!(length > 0, "chromedriver does not start; scripts/test installs it: {text}");
            let line = text.lines().last().unwrap();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // The driver keeps writing, and would stop if its output were closed.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { supervisor, url: format!("http://127.0.0.1:{port}"), folder }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
