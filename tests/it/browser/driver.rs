//! Chromedriver, which starts and drives the browsers of a test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

/// The chromedriver process.
pub(super) struct Driver {
    child: Child,
    pub(super) url: String,
}

impl Driver {
    pub(super) fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver does not start ({error}); scripts/test installs it")
            });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        let port = loop {
            let length = output.read_line(&mut text).unwrap();
            assert!(length > 0, "chromedriver ended: {text}");
            let line = text.lines().last().unwrap();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // The driver keeps writing, and would stop if its output were closed.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
