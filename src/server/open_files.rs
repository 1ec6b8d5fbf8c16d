//! The limit on open files, which also limits the connections.

/// Files that the process needs for everything else: the database with its readers, the connections
/// to PostgreSQL, the log, the TLS files, timers and queues of the kernel.
const OTHER_FILES: usize = 200;

/// Maximum number of connections, however many files may be open.
const MAX_CONNECTIONS: usize = 16_384;

/// Raises the soft limit on open files to the hard limit, and returns how many connections fit into
/// it, at most 16,384. The system's default is 1,024, for programs that use `select`.
#[must_use]
pub fn raise_open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If the system refuses, the old limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    connections_within(usize::try_from(files).unwrap_or(usize::MAX))
}

/// Returns how many connections a service of this user accepts, and whether files limit them.
#[must_use]
pub fn allowed_connections() -> (usize, bool) {
    use rustix::process::{Resource, getrlimit};
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let connections = connections_within(usize::try_from(files).unwrap_or(usize::MAX));
    (connections, connections < MAX_CONNECTIONS)
}

fn connections_within(files: usize) -> usize {
    files.saturating_sub(OTHER_FILES).clamp(1, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        for (files, connections) in
            [(0, 1), (256, 56), (1024, 824), (20_000, MAX_CONNECTIONS), (usize::MAX, 16_384)]
        {
            assert_eq!(connections_within(files), connections, "{files}");
        }
    }
}
