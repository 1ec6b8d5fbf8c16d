//! Metrics of the process, under the names that all Prometheus libraries give them.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::definitions::name;
use super::scrape::{Collect, Scrape};

/// The values that the kernel has for this process.
#[derive(Debug)]
pub struct ProcessMetrics {
    started_at: Timestamp,
}

impl ProcessMetrics {
    #[must_use]
    pub fn new(started_at: Timestamp) -> Self {
        Self { started_at }
    }
}

impl Collect for ProcessMetrics {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        scrape.fractional_counter(&name::PROCESS_CPU_SECONDS, cpu_time().as_secs_f64())?;
        // A value that cannot be read is left out.
        if let Some(bytes) = resident_memory() {
            scrape.gauge(&name::PROCESS_RESIDENT_MEMORY, bytes)?;
        }
        if let Some(files) = open_files() {
            scrape.gauge(&name::PROCESS_OPEN_FILES, files)?;
        }
        if let Some(files) = getrlimit(Resource::Nofile).current {
            scrape.gauge(&name::PROCESS_MAX_FILES, files)?;
        }
        let since_1970 = self.started_at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
        scrape.fractional_gauge(&name::PROCESS_START_TIME, since_1970)
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Returns the resident memory in bytes, from the second field of statm (proc(5)).
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Returns the number of open files, without the one that lists them.
fn open_files() -> Option<u64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(u64::try_from(files).ok()?.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_this_process_are_plausible() {
        assert!(cpu_time() > Duration::ZERO);
        let resident = resident_memory().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        // Other threads allocate meanwhile.
        assert!((resident / 2..resident * 2).contains(&(kibibytes * 1024)), "{resident} {line}");
        let held: Vec<_> =
            (0..20).map(|_| std::fs::File::open("/proc/self/statm").unwrap()).collect();
        assert!(open_files().unwrap() >= 20);
        drop(held);
    }
}
