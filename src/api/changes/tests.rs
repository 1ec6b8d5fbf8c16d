//! The reader on a log that each test writes itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::event_id::EventIds;
use super::event_id::tests::event_ids;
use super::frame::MAX_FRAME_BYTES;
use super::frame::tests::post;
use super::pending_changes::position_before;
use super::reader::Reader;
use super::ring::{Received, Ring, Subscriber};
use super::streams::{StreamSlot, Streams};
use crate::domain::change::{
    Change, ChangeEpoch, ChangePosition, ChangeSubject, ChangedPost, Changes, Listening,
    PostChangeKind,
};
use crate::domain::policy::DraftVisibility;
use crate::domain::post::PostId;
use crate::domain::user::UserId;
use crate::store::{ChangeStore, Result};

/// A log without a database.
struct Log {
    epoch: i64,
    start: i64,
    /// Up to where changes are read, and the watermark.
    end: i64,
    watermark: i64,
    forgotten: i64,
    changes: Vec<Change>,
    posts: HashMap<PostId, ChangedPost>,
}

#[derive(Clone)]
struct LogStore(Arc<Mutex<Log>>);

#[async_trait]
impl ChangeStore for LogStore {
    async fn has_change_log(&self) -> Result<bool> {
        Ok(true)
    }

    async fn listen_to_changes(&self) -> Result<Listening> {
        let log = self.log();
        Ok(Listening { epoch: ChangeEpoch(log.epoch), start: at(log.start) })
    }

    async fn read_changes(&self, after: ChangePosition, limit: u32) -> Result<Changes> {
        let log = self.log();
        let is_read = |change: &&Change| change.position > after && change.position <= at(log.end);
        let limit = usize::try_from(limit).unwrap();
        let changes: Vec<_> = log.changes.iter().filter(is_read).take(limit).copied().collect();
        let last = changes.last().filter(|_| changes.len() == limit);
        Ok(Changes {
            epoch: ChangeEpoch(log.epoch),
            end: last.map_or(at(log.end), |last| last.position),
            changes,
            watermark: at(log.watermark),
            forgotten: at(log.forgotten),
        })
    }

    async fn find_changed_posts(
        &self,
        ids: Vec<PostId>,
        _: DraftVisibility,
    ) -> Result<Vec<ChangedPost>> {
        let log = self.log();
        Ok(ids.iter().filter_map(|id| log.posts.get(id).cloned()).collect())
    }

    async fn forget_changes(&self) -> Result<()> {
        Ok(())
    }
}

impl LogStore {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }

    /// Adds a change of a post and returns its position. The post is visible.
    fn change(&self, id: i64, kind: PostChangeKind, votes: i64) -> ChangePosition {
        self.log().posts.insert(PostId(id), post(id, "text", votes));
        self.add(ChangeSubject::Post { id: PostId(id), kind })
    }

    fn add(&self, subject: ChangeSubject) -> ChangePosition {
        let mut log = self.log();
        log.end += 1;
        log.watermark = log.watermark.max(log.end);
        let position = at(log.end);
        log.changes.push(Change { position, subject });
        position
    }
}

fn at(number: i64) -> ChangePosition {
    ChangePosition { transaction: 0, number }
}

/// A reader with the stream of one account.
struct Fixture {
    store: LogStore,
    reader: Reader,
    ring: Arc<Ring>,
    subscriber: Subscriber,
    stream: StreamSlot,
    ids: EventIds,
}

const USER: UserId = UserId(1);

impl Fixture {
    fn new() -> Self {
        let log = Log {
            epoch: 1,
            start: 10,
            end: 10,
            watermark: 10,
            forgotten: 0,
            changes: Vec::new(),
            posts: HashMap::new(),
        };
        let store = LogStore(Arc::new(Mutex::new(log)));
        let streams: Arc<Streams> = Arc::default();
        let (stream, ring) = Streams::enter(&streams, USER, 10, |_, _| {}).unwrap();
        stream.take_check();
        let served = (Arc::clone(&ring), streams);
        let drafts = DraftVisibility::Private;
        let reader = Reader::new(Arc::new(store.clone()), drafts, event_ids(), served);
        let subscriber = Subscriber::new(Arc::clone(&ring), true);
        Self { store, reader, ring, subscriber, stream, ids: event_ids() }
    }

    /// Lets the reader read once, and returns the frames that it has added.
    async fn advance(&mut self) -> String {
        self.reader.advance().await.unwrap();
        let mut text = Vec::new();
        while let Some(found) = self.subscriber.next().now_or_never() {
            match found {
                Received::Bytes(bytes) => text.extend(bytes),
                Received::Woken => {}
                Received::Closed => panic!("the stream has ended"),
            }
        }
        String::from_utf8(text).unwrap()
    }

    /// Returns the position that the last ID in the text stands for.
    fn position(&self, text: &str) -> ChangePosition {
        let id = text.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap();
        self.ids.open(ChangeEpoch(self.store.log().epoch), id).unwrap()
    }
}

const UPDATED: PostChangeKind = PostChangeKind::Updated { was_published: true };

#[tokio::test(start_paused = true)]
async fn stream_is_complete_after_the_transactions_that_were_open_at_its_start() {
    let mut fixture = Fixture::new();
    fixture.store.log().end = 9;
    fixture.store.change(7, PostChangeKind::Created, 0);
    fixture.store.log().end = 9;
    assert_eq!(fixture.advance().await, "");
    assert_eq!(fixture.ring.progress(), None);
    fixture.store.log().end = 10;
    fixture.advance().await;
    assert_eq!(fixture.ring.progress().unwrap().sent, at(10));
}

#[tokio::test(start_paused = true)]
async fn counts_wait_for_a_second_and_the_id_stays_before_them() {
    let mut fixture = Fixture::new();
    fixture.store.change(1, PostChangeKind::Votes, 1);
    assert!(fixture.advance().await.contains("{\"id\":1,\"votes\":1}"));
    let vote = fixture.store.change(1, PostChangeKind::Votes, 2);
    fixture.store.change(2, UPDATED, 0);
    let texts = fixture.advance().await;
    assert!(texts.contains("event: updated") && !texts.contains("event: votes"), "{texts}");
    assert_eq!(fixture.position(&texts), position_before(vote));
    fixture.store.change(1, PostChangeKind::Votes, 3);
    assert_eq!(fixture.advance().await, "");
    tokio::time::advance(Duration::from_secs(1)).await;
    let votes = fixture.advance().await;
    assert!(votes.contains("{\"id\":1,\"votes\":3}"), "{votes}");
    assert_eq!(votes.matches("event: ").count(), 1);
    assert_eq!(fixture.position(&votes), at(fixture.store.log().end));
}

#[tokio::test(start_paused = true)]
async fn first_votes_after_a_quiet_second_do_not_wait() {
    let mut fixture = Fixture::new();
    fixture.store.change(1, PostChangeKind::Votes, 1);
    assert!(fixture.advance().await.contains("{\"id\":1,\"votes\":1}"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.advance().await, "");
    fixture.store.change(1, PostChangeKind::Votes, 2);
    assert!(fixture.advance().await.contains("{\"id\":1,\"votes\":2}"));
}

#[tokio::test(start_paused = true)]
async fn frame_waits_for_the_revocations_before_its_posts() {
    let mut fixture = Fixture::new();
    fixture.advance().await;
    fixture.store.change(7, PostChangeKind::Created, 0);
    // A revocation is committed, but an older transaction is open.
    fixture.store.log().watermark = 13;
    assert_eq!(fixture.advance().await, "");
    assert_eq!(fixture.ring.progress().unwrap().sent, at(10));
    assert!(!fixture.stream.take_check());
    fixture.store.add(ChangeSubject::TokensRevoked(USER));
    fixture.store.log().end = 13;
    assert!(fixture.advance().await.contains("event: created"));
    assert!(fixture.stream.take_check(), "the stream was not marked before the frame");
}

#[tokio::test(start_paused = true)]
async fn lost_changes_reset_the_streams_and_check_their_accounts() {
    let mut fixture = Fixture::new();
    fixture.advance().await;
    fixture.store.change(7, PostChangeKind::Created, 0);
    fixture.store.log().forgotten = 11;
    let reset = fixture.advance().await;
    assert!(reset.starts_with("event: reset\n"), "{reset}");
    assert!(fixture.stream.take_check());
    // Another life of the log.
    fixture.store.log().epoch = 2;
    fixture.advance().await;
    let reset = fixture.advance().await;
    assert!(reset.starts_with("event: reset\n"), "{reset}");
    assert!(fixture.stream.take_check());
    assert_eq!(fixture.position(&reset), at(fixture.store.log().end));
}

/// A transaction that was open when the gap was found can have a revocation, which is never read.
#[tokio::test(start_paused = true)]
async fn accounts_are_checked_after_the_last_transaction_of_a_gap() {
    let mut fixture = Fixture::new();
    fixture.advance().await;
    {
        let mut log = fixture.store.log();
        (log.epoch, log.start) = (2, 20);
    }
    for _ in 0..3 {
        assert_eq!(fixture.advance().await, "");
        fixture.stream.take_check();
    }
    fixture.store.log().end = 20;
    assert!(fixture.advance().await.starts_with("event: reset\n"));
    assert!(fixture.stream.take_check());
}

#[tokio::test(start_paused = true)]
async fn log_that_has_gone_back_resets_the_streams() {
    let mut fixture = Fixture::new();
    fixture.store.log().end = 15;
    fixture.advance().await;
    assert_eq!(fixture.ring.progress().unwrap().sent, at(15));
    fixture.store.log().end = 12;
    fixture.advance().await;
    let reset = fixture.advance().await;
    assert!(reset.starts_with("event: reset\n"), "{reset}");
    assert_eq!(fixture.position(&reset), at(12));
    assert!(fixture.stream.take_check());
}

#[tokio::test(start_paused = true)]
async fn more_than_a_frame_is_carried_over() {
    let mut fixture = Fixture::new();
    fixture.advance().await;
    for id in 0..200 {
        let position = fixture.store.change(id, PostChangeKind::Created, 0);
        let large = post(id, &"x".repeat(3_900), 0);
        fixture.store.log().posts.insert(PostId(id), large);
        assert!(position > at(10));
    }
    let mut events = 0;
    for _ in 0..5 {
        let frame = fixture.advance().await;
        assert!(frame.len() <= MAX_FRAME_BYTES, "{}", frame.len());
        events += frame.matches("event: created").count();
        let sent = i64::try_from(events).unwrap();
        if events < 200 {
            assert_eq!(fixture.position(&frame), at(10 + sent));
        }
    }
    assert_eq!(events, 200);
}

#[tokio::test(start_paused = true)]
async fn too_many_waiting_posts_are_a_reset() {
    let mut fixture = Fixture::new();
    fixture.advance().await;
    for id in 0..65_537 {
        fixture.store.add(ChangeSubject::Post { id: PostId(id), kind: PostChangeKind::Created });
    }
    assert!(fixture.advance().await.starts_with("event: reset\n"));
    assert!(!fixture.stream.take_check(), "no revocation is missing");
}
