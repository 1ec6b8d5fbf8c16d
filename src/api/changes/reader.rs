//! The task that reads the log of changes for all streams of the process. It runs only while there
//! are streams.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::changed_posts::{PART_POSTS, find_changed_posts};
use super::event_id::EventIds;
use super::frame::{self, Frame, FrameBuilder};
use super::pending_changes::{PendingChanges, position_before};
use super::ring::{Progress, Ring};
use super::streams::Streams;
use crate::domain::change::{ChangeEpoch, ChangePosition, ChangeSubject};
use crate::domain::policy::DraftVisibility;
use crate::error_chain::error_chain;
use crate::store::{ChangeStore, Result};

/// Time between two reads of the log, and between two frames.
const READ_PERIOD: Duration = Duration::from_millis(250);

/// Time between two frames with events that only have votes: four reads, of which the last may come
/// a little early. After a longer pause the first votes are sent at the next read.
const VOTES_PERIOD: Duration = Duration::from_millis(900);

/// With more streams all frames have the longer period.
const MANY_STREAMS: usize = 2_000;

/// Time between two comments, which keep idle connections open. Proxies close them after 60 seconds.
const HEARTBEAT_PERIOD: Duration = Duration::from_secs(15);

/// Time between two renewals of the registration, which lasts for an hour.
const LISTEN_PERIOD: Duration = Duration::from_secs(20);

/// Time between two deletions of old changes.
const FORGET_PERIOD: Duration = Duration::from_secs(10);

/// Changes that are read at a time.
const READ_LIMIT: u32 = 5_000;

/// How often the log is read after the posts of a frame, and the time between.
const WATERMARK_READS: usize = 5;
const WATERMARK_PERIOD: Duration = Duration::from_millis(10);

/// Maximum number of posts that wait for their events. Beyond it clients read their lists again.
const MAX_PENDING: usize = 65_536;

pub(super) struct Reader {
    log: Log,
    drafts: DraftVisibility,
    ids: EventIds,
    /// Ends the streams when it is dropped.
    served: Served,
    /// A frame that is sent after the next read of the log.
    ready: Option<Ready>,
    votes_due: Instant,
}

/// The state of the log.
struct Log {
    store: Arc<dyn ChangeStore>,
    listens_at: Instant,
    forgets_at: Instant,
    /// `None` before the process is registered.
    registration: Option<Registration>,
    pending: PendingChanges,
    /// Whether the streams have missed something.
    has_gap: bool,
    /// Whether revocations can be among what is missing.
    must_check: bool,
}

struct Registration {
    epoch: ChangeEpoch,
    start: ChangePosition,
    /// Every change up to here was read.
    read_to: ChangePosition,
    /// Whether no change after `start` can be missing.
    is_complete: bool,
    /// When `read_to` reaches this position, every change committed before the last read was read.
    watermark: ChangePosition,
}

struct Ready {
    frame: FrameBuilder,
    /// The position of the first change in the frame.
    first: ChangePosition,
    /// The position that must be read before the frame is sent. `None` until the log was read
    /// after the posts.
    watermark: Option<ChangePosition>,
}

struct Served {
    ring: Arc<Ring>,
    streams: Arc<Streams>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.streams.end(&self.ring);
    }
}

impl Reader {
    pub(super) fn new(
        store: Arc<dyn ChangeStore>,
        drafts: DraftVisibility,
        ids: EventIds,
        (ring, streams): (Arc<Ring>, Arc<Streams>),
    ) -> Self {
        let served = Served { ring, streams };
        let log = Log::new(store, drafts);
        Self { log, drafts, ids, served, ready: None, votes_due: Instant::now() }
    }

    /// Serves the streams until there are none.
    pub(super) async fn run(self) {
        let (ring, ids) = (Arc::clone(&self.served.ring), self.ids.clone());
        tokio::select! {
            () = self.read_while_needed() => {}
            // Also while the database does not respond.
            () = send_heartbeats(&ring, &ids) => {}
        }
    }

    async fn read_while_needed(mut self) {
        let mut ticks = interval(READ_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            ticks.tick().await;
            if self.served.streams.end_if_unused(&self.served.ring) {
                return;
            }
            match self.advance().await {
                Ok(()) if is_failing => {
                    tracing::info!("changes for streams can be read again");
                    is_failing = false;
                }
                Err(error) if !is_failing => {
                    tracing::warn!(cause = error_chain(&error), "changes for streams not read");
                    is_failing = true;
                }
                _ => {}
            }
        }
    }

    /// Reads the log, and sends what is due.
    pub(super) async fn advance(&mut self) -> Result<()> {
        self.log.renew().await?;
        self.log.read(&self.served).await?;
        self.send();
        if self.log.is_complete() {
            if self.ready.is_none() {
                self.prepare().await?;
            }
            self.send_after_watermark().await?;
        }
        self.served.ring.set_progress(self.progress());
        Ok(())
    }

    /// Sends the frame once the reader has read every revocation that is older than its posts.
    /// In PostgreSQL an open transaction hides later changes. Then the frame waits.
    async fn send_after_watermark(&mut self) -> Result<()> {
        for number in 0..WATERMARK_READS {
            if self.ready.is_none() {
                return Ok(());
            }
            if number > 0 {
                sleep(WATERMARK_PERIOD).await;
            }
            self.log.read(&self.served).await?;
            if let (Some(ready), Some(registration)) = (&mut self.ready, &self.log.registration) {
                ready.watermark.get_or_insert(registration.watermark);
            }
            self.send();
        }
        Ok(())
    }

    /// Makes the next frame from the posts as they are now. It stays until it is sent.
    async fn prepare(&mut self) -> Result<()> {
        let now = Instant::now();
        let with_votes = now >= self.votes_due;
        let has_many_streams = self.served.streams.len() > MANY_STREAMS;
        if !with_votes && has_many_streams {
            return Ok(());
        }
        let due = self.log.pending.due(with_votes);
        let has_votes = due.iter().any(|(_, change)| change.has_only_votes());
        let mut rest = due.as_slice();
        let mut is_full = false;
        while !is_full && !rest.is_empty() {
            let (part, next) = rest.split_at(PART_POSTS.min(rest.len()));
            let ids = part.iter().map(|(id, _)| *id).collect();
            let found = find_changed_posts(&self.log.store, ids, self.drafts).await?;
            rest = next;
            for (id, change) in part {
                let post = found.get(id);
                if let Some(kind) = change.event(post.is_some()) {
                    let ready = self.ready.get_or_insert_with(|| Ready::new(change.first));
                    is_full = !ready.frame.push(kind, *id, post);
                    if is_full {
                        break;
                    }
                }
                self.log.pending.remove(*id);
            }
        }
        if with_votes && !is_full && (has_votes || has_many_streams) {
            self.votes_due = now + VOTES_PERIOD;
        }
        Ok(())
    }

    /// Sends the frame that is ready, or a reset.
    fn send(&mut self) {
        if self.log.has_gap {
            self.ready = None;
            let Some(progress) = self.progress() else { return };
            self.log.has_gap = false;
            // Also those of the transactions that were open when the gap was found.
            if std::mem::take(&mut self.log.must_check) {
                self.served.streams.check_all();
            }
            let id = self.ids.seal(progress.epoch, progress.sent);
            let reset = Frame::of_all(frame::reset(id.as_deref()));
            self.served.ring.push(reset, Some(progress));
        } else if let Some(registration) = &self.log.registration
            && let Some(ready) = self.ready.take_if(|ready| ready.has_reached(registration))
            // Without the frame, because it counts as sent.
            && let Some(progress) = self.progress()
        {
            let id = self.ids.seal(progress.epoch, progress.sent);
            self.served.ring.push(ready.frame.finish(id.as_deref()), Some(progress));
        }
    }

    /// Returns up to where everything was sent. `None` while changes may be missing.
    fn progress(&self) -> Option<Progress> {
        let registration =
            self.log.registration.as_ref().filter(|registration| registration.is_complete)?;
        let ready = self.ready.as_ref().map(|ready| ready.first);
        let first = self.log.pending.first().into_iter().chain(ready).min();
        Some(Progress {
            epoch: registration.epoch,
            sent: first.map_or(registration.read_to, position_before),
        })
    }
}

impl Ready {
    fn new(first: ChangePosition) -> Self {
        Self { frame: FrameBuilder::default(), first, watermark: None }
    }

    fn has_reached(&self, registration: &Registration) -> bool {
        self.watermark.is_some_and(|watermark| registration.read_to >= watermark)
    }
}

impl Log {
    fn new(store: Arc<dyn ChangeStore>, drafts: DraftVisibility) -> Self {
        let now = Instant::now();
        Self {
            store,
            listens_at: now,
            forgets_at: now,
            registration: None,
            pending: PendingChanges::new(drafts),
            has_gap: false,
            must_check: false,
        }
    }

    fn is_complete(&self) -> bool {
        self.registration.as_ref().is_some_and(|registration| registration.is_complete)
    }

    /// Renews the registration and deletes old changes, if it is time.
    async fn renew(&mut self) -> Result<()> {
        let now = Instant::now();
        if now >= self.listens_at {
            let listening = self.store.listen_to_changes().await?;
            self.listens_at = now + LISTEN_PERIOD;
            if self
                .registration
                .as_ref()
                .is_none_or(|registration| registration.epoch != listening.epoch)
            {
                let (epoch, start) = (listening.epoch, listening.start);
                let (read_to, watermark) = (start, start);
                let registration =
                    Registration { epoch, start, read_to, is_complete: false, watermark };
                let is_first = self.registration.replace(registration).is_none();
                if !is_first {
                    self.record_gap();
                }
            }
        }
        if now >= self.forgets_at {
            self.store.forget_changes().await?;
            self.forgets_at = now + FORGET_PERIOD;
        }
        Ok(())
    }

    /// Reads all changes that were not read yet, and makes the streams of revoked
    /// accounts check their tokens.
    async fn read(&mut self, served: &Served) -> Result<()> {
        while let Some(registration) = &self.registration {
            let part = self.store.read_changes(registration.read_to, READ_LIMIT).await?;
            let has_gone_back = registration.is_complete && part.end < registration.read_to;
            if part.epoch != registration.epoch || has_gone_back {
                (self.registration, self.listens_at) = (None, Instant::now());
                self.record_gap();
                return Ok(());
            }
            if registration.read_to < part.forgotten {
                self.record_gap();
            }
            let is_last = part.changes.len() < usize::try_from(READ_LIMIT).unwrap_or(usize::MAX);
            let mut is_revoked = false;
            for change in part.changes {
                match change.subject {
                    ChangeSubject::Post { id, kind } => self.pending.add(change.position, id, kind),
                    ChangeSubject::TokensRevoked(user) => is_revoked |= served.streams.check(user),
                }
            }
            if is_revoked {
                served.ring.wake();
            }
            if self.pending.len() > MAX_PENDING {
                self.pending.clear();
                self.has_gap = true;
            }
            if let Some(registration) = &mut self.registration {
                registration.is_complete |= part.end >= registration.start;
                registration.read_to = registration.read_to.max(part.end);
                registration.watermark = part.watermark;
            }
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Records a gap: changes, and perhaps revocations, are missing.
    fn record_gap(&mut self) {
        self.pending.clear();
        self.has_gap = true;
        self.must_check = true;
    }
}

async fn send_heartbeats(ring: &Ring, ids: &EventIds) {
    loop {
        sleep(HEARTBEAT_PERIOD).await;
        let progress = ring.progress();
        let id = progress.and_then(|progress| ids.seal(progress.epoch, progress.sent));
        ring.push(Frame::of_all(frame::heartbeat(id.as_deref())), progress);
    }
}
