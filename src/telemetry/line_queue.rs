//! The queue between the threads that log and the thread that writes the log.
//!
//! Standard error may be a pipe that is not read, a stopped terminal or a full disk. Only the
//! writing thread waits for it. If the queue is full, a line is dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

/// Maximum size of all queued lines together. At 50,000 requests a second, a reader of the log may
/// pause for half a second.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Memory of a queued line in addition to its text.
const ENTRY_BYTES: usize = 64;

/// Lines are written together up to this size, the capacity of a pipe on Linux.
const WRITE_BYTES: usize = 64 * 1024;

/// Pause before another attempt if standard error is in non-blocking mode and full.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

enum Entry {
    /// One or more whole lines.
    Lines(Vec<u8>),
    /// Is answered when everything before it is written.
    Flush(Sender<()>),
}

/// The sending side of the queue. It never waits.
#[derive(Clone)]
pub(super) struct LineQueue {
    entries: Sender<Entry>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    /// Lines since the start that were not queued or could not be written.
    dropped_lines: AtomicU64,
    /// The thread that writes.
    writer: OnceLock<ThreadId>,
}

impl LineQueue {
    /// Starts the thread that writes to `output`. If lines were dropped, it calls `report` with the
    /// number since the start, once the output works again. `report` may log.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (entries, receiver) = crossbeam_channel::unbounded();
        let queue = Self { entries, shared: Arc::default() };
        let writer = Writer {
            output,
            entries: receiver,
            queue: queue.clone(),
            report,
            reported_lines: 0,
            works: true,
            is_within_line: false,
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(queue)
    }

    /// Waits until everything that was queued before is written, or the time is over.
    pub(super) fn flush_within(&self, timeout: Duration) {
        let (done, is_done) = crossbeam_channel::bounded(1);
        if self.entries.send(Entry::Flush(done)).is_ok() {
            // An error means that the time is over.
            let _ = is_done.recv_timeout(timeout);
        }
    }

    fn add(&self, lines: &[u8]) {
        let size = lines.len().saturating_add(ENTRY_BYTES);
        let queued = self.shared.queued_bytes.fetch_add(size, Ordering::Relaxed);
        // The writing thread logs only how many lines were dropped. That line must not be dropped.
        let has_room = queued.saturating_add(size) <= QUEUE_BYTES || self.is_writer();
        if !has_room || self.entries.send(Entry::Lines(lines.to_vec())).is_err() {
            self.remove(size);
            self.count_dropped(lines);
        }
    }

    fn remove(&self, size: usize) {
        self.shared.queued_bytes.fetch_sub(size, Ordering::Relaxed);
    }

    fn count_dropped(&self, lines: &[u8]) {
        let count = lines.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.shared.dropped_lines.fetch_add(count, Ordering::Relaxed);
    }

    fn is_writer(&self) -> bool {
        self.shared.writer.get() == Some(&std::thread::current().id())
    }
}

impl Write for LineQueue {
    /// Queues or drops the lines. Never fails.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.add(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread that writes.
struct Writer<W, R> {
    output: W,
    entries: Receiver<Entry>,
    queue: LineQueue,
    report: R,
    /// The number of dropped lines in the last report.
    reported_lines: u64,
    /// Whether the last write succeeded. A report after a failed one would fail too.
    works: bool,
    /// Whether the last write ended within a line.
    is_within_line: bool,
}

impl<W: Write, R: Fn(u64)> Writer<W, R> {
    fn run(mut self) {
        let _ = self.queue.shared.writer.set(std::thread::current().id());
        let mut lines = Vec::new();
        while let Ok(first) = self.entries.recv() {
            let mut next = Some(first);
            while let Some(Entry::Lines(more)) = next {
                self.queue.remove(more.len().saturating_add(ENTRY_BYTES));
                lines.extend_from_slice(&more);
                let is_full = lines.len() >= WRITE_BYTES;
                next = if is_full { None } else { self.entries.try_recv().ok() };
            }
            self.write(&lines);
            lines.clear();
            lines.shrink_to(WRITE_BYTES);
            let has_reported = self.report_dropped();
            if let Some(Entry::Flush(done)) = next {
                // The report is queued too, and belongs to what is flushed.
                let answer = if has_reported {
                    self.queue.entries.send(Entry::Flush(done)).is_ok()
                } else {
                    done.send(()).is_ok()
                };
                // An error means that the time of the flush is over.
                let _ = answer;
            }
        }
    }

    /// Writes the lines, and counts those that cannot be written whole.
    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let is_at_start = !self.is_within_line || self.write_bytes(b"\n").is_empty();
        let rest = if is_at_start { self.write_bytes(lines) } else { lines };
        self.works = rest.is_empty();
        self.queue.count_dropped(rest);
    }

    /// Writes the bytes, and returns those after the first error.
    fn write_bytes<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => break,
                Ok(count) => {
                    let (written, unwritten) = rest.split_at(count.min(rest.len()));
                    self.is_within_line = !written.ends_with(b"\n");
                    rest = unwritten;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_PAUSE);
                }
                Err(_) => break,
            }
        }
        rest
    }

    /// Reports dropped lines that were not reported yet, and returns whether there were any.
    fn report_dropped(&mut self) -> bool {
        let dropped = self.queue.shared.dropped_lines.load(Ordering::Relaxed);
        let is_new = self.works && dropped > self.reported_lines;
        if is_new {
            self.reported_lines = dropped;
            (self.report)(dropped);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// An output that waits for a permit before each write, and then does what the permit says.
    struct Gate {
        permits: mpsc::Receiver<io::Result<usize>>,
        /// Gets a message when a write waits.
        waiting: mpsc::Sender<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.waiting.send(());
            // Without its sender the output works.
            let count = self.permits.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gated {
        queue: LineQueue,
        permits: Option<mpsc::Sender<io::Result<usize>>>,
        waiting: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
        reports: mpsc::Receiver<u64>,
    }

    impl Gated {
        fn start() -> Self {
            let (permits, gate) = mpsc::channel();
            let (waits, waiting) = mpsc::channel();
            let (report, reports) = mpsc::channel();
            let written = Arc::default();
            let gate = Gate { permits: gate, waiting: waits, written: Arc::clone(&written) };
            let queue = LineQueue::start(gate, move |lines| report.send(lines).unwrap()).unwrap();
            Self { queue, permits: Some(permits), waiting, written, reports }
        }

        fn log(&self, line: &str) {
            self.queue.clone().write_all(line.as_bytes()).unwrap();
        }

        /// Logs a line, and waits until its write begins.
        fn block(&self, line: &str) {
            self.log(line);
            self.waiting.recv_timeout(LONG).unwrap();
        }

        fn permit(&self, outcome: io::Result<usize>) {
            self.permits.as_ref().unwrap().send(outcome).unwrap();
        }

        /// Lets the output work, and returns everything that was written.
        fn finish(&mut self) -> String {
            self.permits = None;
            self.queue.flush_within(LONG);
            String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn blocked_output_drops_and_counts_lines_over_the_limit() {
        let mut gated = Gated::start();
        gated.block("first\n");
        let line = format!("{}\n", "x".repeat(1_000));
        let kept = QUEUE_BYTES / (line.len() + ENTRY_BYTES);
        for _ in 0..kept + 3 {
            gated.log(&line);
        }
        assert_eq!(gated.finish(), format!("first\n{}", line.repeat(kept)));
        assert_eq!(gated.reports.try_recv(), Ok(3));
        gated.log("after\n");
        assert!(gated.finish().ends_with("after\n"), "the queue has no room again");
        assert!(gated.reports.try_recv().is_err(), "the lines were reported twice");
    }

    #[test]
    fn blocked_output_delays_a_flush_until_its_timeout() {
        let gated = Gated::start();
        gated.block("first\n");
        gated.queue.flush_within(Duration::from_millis(1));
        assert!(gated.written.lock().unwrap().is_empty());
    }

    #[test]
    fn failed_write_is_counted_and_reported_once_the_output_works() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::BrokenPipe] {
            let mut gated = Gated::start();
            gated.block("first\n");
            gated.log("second\nthird\n");
            gated.permit(Err(kind.into()));
            // The second write.
            gated.waiting.recv_timeout(LONG).unwrap();
            gated.permit(Err(kind.into()));
            gated.block("fourth\n");
            assert!(gated.reports.try_recv().is_err(), "a report cannot be written either");
            assert_eq!(gated.finish(), "fourth\n");
            assert_eq!(gated.reports.try_recv(), Ok(3));
        }
    }

    #[test]
    fn interrupted_and_partial_writes_lose_nothing() {
        let mut gated = Gated::start();
        gated.block("first\n");
        let outcomes = [Ok(2), Err(io::ErrorKind::Interrupted), Err(io::ErrorKind::WouldBlock)];
        for outcome in outcomes {
            gated.permit(outcome.map_err(Into::into));
        }
        assert_eq!(gated.finish(), "first\n");
    }

    #[test]
    fn line_after_a_failed_part_of_a_line_has_its_own_line() {
        let mut gated = Gated::start();
        gated.block("first\n");
        gated.permit(Ok(2));
        gated.permit(Err(io::ErrorKind::StorageFull.into()));
        gated.log("second\n");
        assert_eq!(gated.finish(), "fi\nsecond\n");
        assert_eq!(gated.reports.try_recv(), Ok(1));
    }
}
