//! The checks of what the system gives to the process: open files and memory.

use std::num::NonZeroUsize;

use super::memory_limit::{MemoryLimit, memory_limit};
use crate::config::Settings;
use crate::server::allowed_connections;
use crate::store::inspection::Finding;

const MIB: u64 = 1024 * 1024;

/// Memory for the service itself and for the work on lists and bodies, as docs/operations.md adds
/// it up.
const FIXED_MIB: u64 = 128 + 256;

/// Checks that files do not limit the connections.
pub(super) fn check_open_files() -> Finding {
    let (connections, is_limited) = allowed_connections();
    let detail = format!("{connections} connections can be open");
    if !is_limited {
        return Finding::ok(detail);
    }
    let cure =
        "raise the hard limit on open files to 16,584: LimitNOFILE of systemd, ulimits of Docker";
    Finding::warn(format!("{detail}: the limit on open files allows no more"), cure)
}

/// Checks that the memory limit covers the most that the service needs.
pub(super) fn check_memory(settings: &Settings) -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let cores = u64::try_from(cores).unwrap_or(u64::MAX);
    let clients = u64::try_from(settings.client_memory).unwrap_or(u64::MAX) / MIB;
    let hashing = u64::from(settings.argon2_params.memory_kib) * cores / 1024;
    match memory_limit() {
        None => Finding::skipped("the memory of this machine is unknown"),
        Some(limit) => judge_memory(hashing, clients, &limit),
    }
}

/// Judges the memory of hashing and of clients, in MiB.
fn judge_memory(hashing: u64, clients: u64, limit: &MemoryLimit) -> Finding {
    let available = limit.bytes / MIB;
    let needed = FIXED_MIB.saturating_add(hashing).saturating_add(clients);
    let origin = limit.origin;
    if hashing >= available {
        let detail =
            format!("password hashes may need {hashing} MiB, and {origin} has {available} MiB");
        return Finding::fail(detail, "lower ARGON2_MEMORY_KIB, or give the service more memory");
    }
    let detail = format!("the service may need {needed} MiB, and {origin} has {available} MiB");
    if needed > available {
        let cure = "lower CLIENT_MEMORY_MIB, or give the service more memory: see \"Memory and \
                    size\" in docs/operations.md";
        return Finding::warn(detail, cure);
    }
    Finding::ok(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::inspection::Verdict;

    #[test]
    fn memory_beyond_the_limit_is_reported() {
        let limit = MemoryLimit { bytes: 1024 * MIB, origin: "the machine" };
        for (hashing, clients, verdict) in [
            (128, 512, Verdict::Ok),
            (129, 512, Verdict::Warn),
            (1023, 64, Verdict::Warn),
            (1024, 64, Verdict::Fail),
            (64, u64::MAX, Verdict::Warn),
        ] {
            let finding = judge_memory(hashing, clients, &limit);
            assert_eq!(finding.verdict, verdict, "{hashing} {clients}: {finding:?}");
        }
    }
}
