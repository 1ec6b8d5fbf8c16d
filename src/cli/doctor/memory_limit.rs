//! The memory that the process may use: the limit of its control group, else the memory of the
//! machine. Formats: cgroups(7), proc(5).

use std::path::Path;

pub(super) struct MemoryLimit {
    pub(super) bytes: u64,
    pub(super) origin: &'static str,
}

/// Returns `None` if the system does not say.
pub(super) fn memory_limit() -> Option<MemoryLimit> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = limit_of_groups(&groups, Path::new("/sys/fs/cgroup"));
    let machine = memory_of_machine(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let group = group.map(|bytes| MemoryLimit { bytes, origin: "its control group" });
    let machine = machine.map(|bytes| MemoryLimit { bytes, origin: "this machine" });
    group.into_iter().chain(machine).min_by_key(|limit| limit.bytes)
}

/// Returns the smallest limit of the groups of the process and of their parents, in bytes.
fn limit_of_groups(groups: &str, root: &Path) -> Option<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = root.join(path.trim_start_matches('/'));
        for folder in group.ancestors().take_while(|folder| folder.starts_with(&root)) {
            // `max` means no limit.
            let limit = std::fs::read_to_string(folder.join(file)).ok();
            limits.extend(limit.and_then(|limit| limit.trim().parse::<u64>().ok()));
        }
    }
    limits.into_iter().min()
}

fn memory_of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_limit_of_the_group_and_its_parents_counts() {
        let root = tempfile::TempDir::new().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "3000\n");
        write("a/e/memory.max", "4000\n");
        write("c/memory.max", "5000\n");
        write("memory/d/memory.limit_in_bytes", "7000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        for (groups, limit) in [
            ("0::/a/b\n", Some(3000)),
            ("0::/a/e\n", Some(3000)),
            ("0::/c\n", Some(5000)),
            ("0::/\n", None),
            ("0::/no/such/group\n", None),
            ("12:cpu:/a\n5:memory:/d\n0::/\n", Some(7000)),
            ("", None),
            ("nonsense", None),
        ] {
            assert_eq!(limit_of_groups(groups, root.path()), limit, "{groups}");
        }
    }

    #[test]
    fn memory_of_the_machine_is_read_in_kib() {
        assert_eq!(memory_of_machine("MemFree: 1 kB\nMemTotal:   2048 kB\n"), Some(2048 * 1024));
        assert_eq!(memory_of_machine("MemTotal: many\n"), None);
        assert_eq!(memory_of_machine(""), None);
    }
}
