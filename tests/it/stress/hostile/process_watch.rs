//! The memory and connections of a process, as the kernel reports them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::MIB;
use crate::support::Service;

/// Watches a service from outside, and compares it with its state at the start.
pub(super) struct ProcessWatch {
    folder: PathBuf,
    /// In the format of the kernel.
    port: String,
    base: u64,
    sockets: BTreeSet<PathBuf>,
}

impl ProcessWatch {
    pub(super) fn start(service: &Service) -> Self {
        let folder = PathBuf::from(format!("/proc/{}", service.process_id()));
        let port = service.address().rsplit(':').next().unwrap().parse::<u16>().unwrap();
        let port = format!(":{port:04X}");
        let mut watch = Self { folder, port, base: 0, sockets: BTreeSet::new() };
        watch.base = watch.rss();
        watch.sockets = watch.sockets();
        // Resets the peak, so that the startup does not count.
        std::fs::write(watch.folder.join("clear_refs"), "5").unwrap();
        watch
    }

    pub(super) fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    pub(super) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Returns by how much the peak exceeds the memory at the start, in KiB.
    pub(super) fn growth(&self) -> u64 {
        self.peak().saturating_sub(self.base)
    }

    #[track_caller]
    pub(super) fn assert_growth_below(&self, limit: u64, context: &str) {
        let growth = self.growth();
        assert!(growth < limit, "{context}: {} MiB more, {} allowed", growth / MIB, limit / MIB);
    }

    /// Returns the memory at the start, at most and now, in MiB, for a report.
    pub(super) fn describe(&self) -> String {
        let (base, peak, now) = (self.base, self.peak(), self.rss());
        format!("{} at first, {} at most, {} after", base / MIB, peak / MIB, now / MIB)
    }

    /// Returns the number of client connections opened since the start.
    pub(super) fn connections(&self) -> usize {
        self.open_connections().len()
    }

    /// Returns the client connections opened since the start, by the kernel's names.
    pub(super) fn open_connections(&self) -> BTreeSet<PathBuf> {
        self.sockets().difference(&self.sockets).cloned().collect()
    }

    #[track_caller]
    pub(super) fn wait_until_connections_are_closed(&self) {
        for _ in 0..3000 {
            if self.connections() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} connections are still open", self.connections());
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.folder.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn sockets(&self) -> BTreeSet<PathBuf> {
        let files = std::fs::read_dir(self.folder.join("fd")).unwrap();
        // A file may be closed in the meantime.
        let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        let sockets_on_port = self.sockets_on_port();
        targets.filter(|target| sockets_on_port.contains(target)).collect()
    }

    /// Returns the connections to its port, without those to a database.
    fn sockets_on_port(&self) -> BTreeSet<PathBuf> {
        let connections = std::fs::read_to_string(self.folder.join("net/tcp")).unwrap();
        // The file has each connection of the machine, also those that have ended.
        let lines = connections.lines().filter(|line| line.contains(&self.port));
        let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        let here = fields.filter(|fields| fields.len() > 9 && fields[1].ends_with(&self.port));
        here.map(|fields| format!("socket:[{}]", fields[9]).into()).collect()
    }
}
