//! The values that the clients have sent, and those that were acknowledged. A read may show nothing
//! older than what was acknowledged before it was sent.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// A value that one writer counts up.
#[derive(Default)]
pub(super) struct Register {
    sent: AtomicI64,
    acknowledged: AtomicI64,
}

impl Register {
    /// Returns the next value to send.
    pub(super) fn next(&self) -> i64 {
        self.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn acknowledge(&self, value: i64) {
        self.acknowledged.fetch_max(value, Ordering::SeqCst);
    }

    pub(super) fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(super) fn sent(&self) -> i64 {
        self.sent.load(Ordering::SeqCst)
    }
}

/// The values of a writer: the content of a post, and a vote on the post.
#[derive(Default)]
pub(super) struct Written {
    pub(super) post: i64,
    pub(super) content: Register,
    pub(super) vote: Register,
}

/// The direction of the vote with this number.
pub(super) fn direction(number: i64) -> i64 {
    if number % 2 == 0 { 1 } else { -1 }
}

/// One of the two processes of the service, as its clients see it.
#[derive(Default)]
pub(super) struct Process {
    pub(super) address: Mutex<String>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    writes: Vec<Instant>,
    reads: usize,
    failures: Vec<(Instant, String)>,
    stale: Vec<String>,
}

/// The figures of one process in one round.
pub(super) struct Round {
    pub(super) failures: Vec<String>,
    /// The longest time without an acknowledged write.
    pub(super) gap: Duration,
    /// From the election to the first acknowledged write.
    pub(super) after_election: Duration,
}

impl Process {
    pub(super) fn record_write(&self) {
        self.log.lock().unwrap().writes.push(Instant::now());
    }

    pub(super) fn record_read(&self) {
        self.log.lock().unwrap().reads += 1;
    }

    pub(super) fn record_failure(&self, failure: String) {
        self.log.lock().unwrap().failures.push((Instant::now(), failure));
    }

    pub(super) fn record_stale(&self, read: String) {
        self.log.lock().unwrap().stale.push(read);
    }

    pub(super) fn stale(&self) -> Vec<String> {
        self.log.lock().unwrap().stale.clone()
    }

    pub(super) fn count_writes(&self) -> usize {
        self.log.lock().unwrap().writes.len()
    }

    pub(super) fn count_reads(&self) -> usize {
        self.log.lock().unwrap().reads
    }

    /// Returns what happened since the beginning of a round.
    pub(super) fn round(&self, begin: Instant, election: Option<Instant>) -> Round {
        let log = self.log.lock().unwrap();
        let failures = log.failures.iter().filter(|(time, _)| *time >= begin);
        let writes = log.writes.iter().copied().filter(|time| *time >= begin);
        let mut times: Vec<Instant> = std::iter::once(begin).chain(writes).collect();
        times.sort_unstable();
        let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        let after_election = election.and_then(|election| {
            let first = times.iter().find(|time| **time >= election)?;
            Some(*first - election)
        });
        Round {
            failures: failures.map(|(_, failure)| failure.clone()).collect(),
            gap,
            after_election: after_election.unwrap_or_default(),
        }
    }
}

/// Everything that the clients of both processes share.
#[derive(Default)]
pub(super) struct History {
    pub(super) processes: [Process; 2],
    pub(super) written: Vec<Written>,
    /// The IDs of acknowledged posts, and the highest of them.
    pub(super) posts: Mutex<BTreeSet<i64>>,
    pub(super) newest: Register,
    /// Responses that the service must never give.
    pub(super) wrong: Mutex<Vec<String>>,
}

impl History {
    pub(super) fn record_wrong(&self, response: String) {
        self.wrong.lock().unwrap().push(response);
    }

    /// Compares the rows of a database with what was acknowledged. Returns what is lost.
    pub(super) fn find_lost(&self, query: impl Fn(&str) -> Vec<String>) -> Vec<String> {
        let posts = self.posts.lock().unwrap().clone();
        let contents: Vec<i64> =
            self.written.iter().map(|written| written.content.acknowledged()).collect();
        let stored: BTreeSet<i64> =
            query("SELECT id FROM posts").iter().map(|id| id.parse().unwrap()).collect();
        let mut lost: Vec<String> =
            posts.difference(&stored).map(|post| format!("post {post}")).collect();
        for (written, acknowledged) in self.written.iter().zip(contents) {
            let sql = format!("SELECT content FROM posts WHERE id = {}", written.post);
            let content: i64 = query(&sql)[0].parse().unwrap();
            if content < acknowledged {
                lost.push(format!("content {acknowledged}, found {content}"));
            }
        }
        lost
    }
}
