//! The memory of the process after work has ended.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{PASSWORD, Service};

/// Memory of a hash with the default settings.
const HASH_MIB: u64 = 64;

/// Returns the memory of the process that no file backs, in MiB.
fn resident_mib(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kib / 1024
}

#[test]
fn memory_of_hashes_is_given_back_after_the_last_login() {
    let memory = (HASH_MIB * 1024).to_string();
    let service = Service::start(&[("ARGON2_MEMORY_KIB", &memory)]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    for _ in 0..3 {
        service.log_in("ada@example.com");
    }
    assert!(resident_mib(&service) >= HASH_MIB, "the hash is not in memory: the test sees nothing");
    let end = Instant::now() + Duration::from_mins(2);
    while resident_mib(&service) >= HASH_MIB {
        assert!(Instant::now() < end, "{} MiB stay in memory", resident_mib(&service));
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
