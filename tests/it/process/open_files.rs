//! The limit on open files of the process, and what the log says if clients reach a limit.

use std::process::Command;

use tempfile::TempDir;

use crate::support::{Service, Wire};

/// Starts the service with a soft and a hard limit on open files.
fn start(soft: u32, hard: u32) -> (TempDir, Service) {
    let folder = TempDir::new().unwrap();
    let binary = Service::command(folder.path());
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={soft}:{hard}")).arg(binary.get_program());
    command.args(["serve", "--port", "0"]).current_dir(folder.path());
    for (name, value) in binary.get_envs() {
        command.env(name, value.unwrap());
    }
    let service = Service::run(&mut command, folder.path());
    (folder, service)
}

fn is_served(wire: &mut Wire) -> bool {
    wire.call("GET", "/livez", "", None).is_ok_and(|response| response.status == 200)
}

#[test]
fn soft_limit_on_open_files_is_raised_at_startup() {
    let (_folder, service) = start(300, 2000);
    let limits = format!("/proc/{}/limits", service.process_id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(line.split_whitespace().filter(|word| *word == "2000").count() == 2, "{line}");
}

/// 64 of 264 files are for connections, and eight of those for one client.
#[test]
fn connections_that_files_do_not_allow_are_closed_and_logged_once() {
    let (_folder, mut service) = start(264, 264);
    let mut open: Vec<Wire> = (0..8).map(|_| service.connect()).collect();
    assert!(open.iter_mut().all(is_served));
    for _ in 0..20 {
        assert!(!is_served(&mut service.connect()));
    }
    assert!(open.iter_mut().all(is_served));
    drop(open);
    service.terminate();
    service.wait();
    let log = service.final_stderr();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("client limit reached")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("limit=\"connections of a network\" client=\"127.0.0.1\""), "{log}");
}
