//! The checks of Prometheus itself, by its program `promtool`.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a check that must succeed, and returns its complaints.
#[track_caller]
pub(super) fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing; it is in the Debian package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaints}{}", String::from_utf8_lossy(&output.stdout));
    complaints
}
