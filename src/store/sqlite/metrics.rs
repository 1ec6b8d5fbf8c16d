//! The metrics of the SQLite store: its queues, its transactions and the size of its files.

use std::fmt;
use std::path::Path;

use super::SqliteStore;
use super::wal::companion;
use crate::metrics::{Collect, Scrape, name};
use crate::store::QueueLengths;

impl Collect for SqliteStore {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let queues = self.queue_lengths().into_iter();
        let lengths =
            queues.map(|(queue, length)| ([queue], u64::try_from(length).unwrap_or(u64::MAX)));
        scrape.gauges(&name::STORE_QUEUE_LENGTH, lengths)?;
        scrape.histograms(&name::BATCH_MEMBERS, [(["write"], self.writer.members())])?;
        let files = [("database", self.path.clone()), ("log", companion(&self.path, "-wal"))];
        let sizes = files.iter().map(|(file, path)| ([*file], size(path)));
        scrape.gauges(&name::DATABASE_BYTES, sizes)
    }
}

impl QueueLengths for SqliteStore {
    fn queue_lengths(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("write", self.writer.queue_length()),
            ("read", self.readers.queue_length()),
            ("list", self.list_readers.queue_length()),
        ]
    }
}

/// Returns the size of the file in bytes, 0 if there is none.
fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}
