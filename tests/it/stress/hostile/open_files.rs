//! How many connections this process may hold, which a service that it starts inherits.

use std::process::Command;

/// Raises the bound on open files as far as it goes, and says how far that is.
pub(super) fn raise_bound() -> usize {
    let (soft, hard) = bounds();
    if soft < hard {
        let process = std::process::id().to_string();
        let bound = format!("--nofile={hard}:{hard}");
        let status = Command::new("prlimit").args(["--pid", &process, &bound]).status().unwrap();
        assert!(status.success(), "the bound on open files cannot be raised to {hard}");
    }
    hard
}

fn bounds() -> (usize, usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    (numbers.next().unwrap(), numbers.next().unwrap())
}
