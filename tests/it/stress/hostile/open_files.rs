//! The limit on open files of this process, which the service inherits.

use std::process::Command;

/// Raises the soft limit on open files to the hard limit, and returns the limit.
pub(super) fn raise_limit() -> usize {
    let (soft, hard) = limits();
    if soft < hard {
        let process = std::process::id().to_string();
        let limit = format!("--nofile={hard}:{hard}");
        let status = Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap();
        assert!(status.success(), "could not raise the limit on open files to {hard}");
    }
    hard
}

fn limits() -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}
