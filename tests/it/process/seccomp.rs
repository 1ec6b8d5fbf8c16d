//! The service under a seccomp filter that kills the process at a system call, as
//! `SystemCallFilter=` of systemd does.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{PASSWORD, Service};

/// Runs the action on a thread with a filter that kills a process that sets a priority. Processes
/// that the action starts inherit the filter.
fn without_priorities<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    let rules: BTreeMap<i64, Vec<_>> = [
        libc::SYS_setpriority,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_ioprio_set,
    ]
    .map(|call| (call, Vec::new()))
    .into();
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, architecture);
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    let thread = std::thread::spawn(move || {
        apply_filter(&program).unwrap();
        action()
    });
    thread.join().unwrap()
}

#[test]
fn service_under_a_filter_hashes_passwords() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let mut service = without_priorities(move || Service::start_in(&path, &[]));
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    assert!(!service.log_in("ada@example.com").is_empty());
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
}

/// Shows that the filter of these tests works.
#[test]
fn filter_kills_a_program_that_sets_its_priority() {
    use std::os::unix::process::ExitStatusExt as _;
    let outcome = without_priorities(|| {
        std::process::Command::new("nice").args(["-n", "5", "true"]).status().unwrap()
    });
    assert_eq!(outcome.signal(), Some(libc::SIGSYS));
}
