//! The metrics of the PostgreSQL store: its queues, its batches and its connections.

use std::fmt;

use super::PostgresStore;
use super::budget::Work;
use crate::metrics::{Collect, Histogram, Scrape, name};
use crate::store::QueueLengths;
use crate::store::batch::{Batch, Batcher};

impl Collect for PostgresStore {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let queues = self.queue_lengths().into_iter();
        let lengths = queues.map(|(queue, length)| ([queue], to_u64(length)));
        scrape.gauges(&name::STORE_QUEUE_LENGTH, lengths)?;
        let batchers = self.batchers();
        let members = batchers.iter().map(|(queue, _, members)| ([*queue], *members));
        scrape.histograms(&name::BATCH_MEMBERS, members)?;
        let pool = self.pool.status();
        let used = pool.size.saturating_sub(pool.available);
        let states = [(["idle"], to_u64(pool.available)), (["used"], to_u64(used))];
        scrape.gauges(&name::DATABASE_CONNECTIONS, states)?;
        scrape.gauge(&name::DATABASE_CONNECTIONS_LIMIT, to_u64(pool.max_size))
    }
}

impl QueueLengths for PostgresStore {
    fn queue_lengths(&self) -> Vec<(&'static str, usize)> {
        let waiting = [("short", Work::Short), ("long", Work::Long)]
            .map(|(queue, work)| (queue, self.pool.waiting(work)));
        self.batchers().iter().map(|(queue, length, _)| (*queue, *length)).chain(waiting).collect()
    }
}

impl PostgresStore {
    /// Returns the name of each batcher, how many requests wait for it, and the members of its
    /// batches.
    fn batchers(&self) -> [(&'static str, usize, &Histogram); 10] {
        [
            describe("callers", &self.callers),
            describe("posts", &self.posts),
            describe("lists", &self.lists),
            describe("new_posts", &self.new_posts),
            describe("votes", &self.votes),
            describe("withdrawals", &self.withdrawals),
            describe("new_posts_once", &self.new_posts_once),
            describe("votes_once", &self.votes_once),
            describe("own_votes", &self.own_votes),
            describe("names", &self.names),
        ]
    }
}

fn describe<'a, B: Batch>(
    queue: &'static str,
    batcher: &'a Batcher<B>,
) -> (&'static str, usize, &'a Histogram) {
    (queue, batcher.queue_length(), batcher.members())
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
