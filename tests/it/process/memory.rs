//! The memory of the process at its start, and after work has ended.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{PASSWORD, Service};

/// Memory of a hash with the default settings.
const HASH_MIB: u64 = 64;

/// Maximum memory at the start that no file backs: for the process, and for the threads of each core.
/// On two cores a test build takes 5.4 MiB.
const MAX_AT_START_KIB: u64 = 6 * 1024;
const MAX_OF_CORE_KIB: u64 = 512;

/// Returns a number from the status of the process (proc(5)).
fn status(service: &Service, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process_id())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// Returns the memory of the process that no file backs, in MiB.
fn resident_mib(service: &Service) -> u64 {
    status(service, "RssAnon") / 1024
}

#[test]
fn idle_service_holds_little_memory() {
    let service = Service::start(&[]);
    assert_eq!(status(&service, "THP_enabled"), 0, "the system may give huge pages");
    let cores = u64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let kib = status(&service, "RssAnon");
    assert!(kib <= MAX_AT_START_KIB + cores * MAX_OF_CORE_KIB, "{kib} KiB");
}

#[test]
fn documentation_takes_no_memory_before_its_first_request() {
    let service = Service::start(&[]);
    let before = status(&service, "RssAnon");
    service.get("/redoc").expect(200);
    let pages = status(&service, "RssAnon").saturating_sub(before);
    // ReDoc alone has 1 MiB.
    assert!(pages >= 1024, "{pages} KiB: the pages were in memory before");
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
