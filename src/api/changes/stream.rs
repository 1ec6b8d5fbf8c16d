//! One stream: its first lines, the changes that its client missed, and then the frames that all
//! streams share.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::catch_up::CatchUp;
use super::event_id::EventIds;
use super::frame;
use super::ring::{Progress, Received, Ring, Subscriber};
use super::streams::StreamSlot;
use crate::client_limits::RequestPermit;
use crate::clock::Clock;
use crate::domain::caller::Caller;
use crate::error_chain::error_chain;
use crate::store::{CallerStore, ChangeStore, StoreError};

/// How long clients wait before they open the next stream, in milliseconds: the least, and the
/// number of further values. Each waits for another time, so that they do not all come back at once.
const RETRY_LEAST: u64 = 2_000;
const RETRY_VALUES: u64 = 4_001;

/// A valid request for a stream.
pub(in crate::api) struct StreamRequest {
    pub(in crate::api) caller: Caller,
    /// When the token of the request expires.
    pub(in crate::api) expires: Timestamp,
    pub(in crate::api) with_votes: bool,
    /// The ID of the last event that the client has.
    pub(in crate::api) last_event_id: Option<String>,
}

pub(super) struct ChangeStream {
    callers: Arc<dyn CallerStore>,
    changes: Arc<dyn ChangeStore>,
    clock: Arc<dyn Clock>,
    ids: EventIds,
    slot: StreamSlot,
    subscriber: Subscriber,
    catching_up: Arc<Semaphore>,
    request: StreamRequest,
    permit: RequestPermit,
    stage: Stage,
}

enum Stage {
    Begin,
    /// Until no change can be missing.
    Waiting,
    CatchingUp(Box<CatchUp>),
    Live,
}

impl ChangeStream {
    pub(super) fn new(
        (callers, changes): (Arc<dyn CallerStore>, Arc<dyn ChangeStore>),
        clock: Arc<dyn Clock>,
        ids: EventIds,
        (slot, ring, catching_up): (StreamSlot, Arc<Ring>, Arc<Semaphore>),
        (request, permit): (StreamRequest, RequestPermit),
    ) -> Self {
        let subscriber = Subscriber::new(ring, request.with_votes);
        let stage = Stage::Begin;
        Self { callers, changes, clock, ids, slot, subscriber, catching_up, request, permit, stage }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Bytes> {
        unfold(self, |mut stream| async move {
            let next = stream.next().await;
            let next = next.inspect_err(log_end).ok().flatten();
            next.map(|bytes| (bytes, stream))
        })
    }

    /// Returns the next bytes, or `None` if the stream has ended.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let bytes = match &mut self.stage {
                Stage::Begin => {
                    self.stage = Stage::Waiting;
                    let random = getrandom::u64().unwrap_or_default() % RETRY_VALUES;
                    return Ok(Some(frame::retry(RETRY_LEAST + random)));
                }
                Stage::Waiting => match self.subscriber.join() {
                    Some(progress) => Some(self.begin(progress).await?),
                    None => match self.subscriber.next().await {
                        // Without an ID: before `hello` the client would resume from this ID.
                        Received::Bytes(_) => Some(frame::heartbeat(None)),
                        Received::Woken => None,
                        Received::Closed => return Ok(None),
                    },
                },
                Stage::CatchingUp(missed) => {
                    let events = missed.next(&self.ids).await?;
                    let bytes = events.as_ref().map_or(0, Bytes::len) + missed.byte_len();
                    if self.permit.set_response(bytes).is_err() {
                        return Ok(None);
                    }
                    // The reader may not know of a revocation that is older than these posts.
                    self.callers.find_caller(self.request.caller).await?;
                    if events.is_none() {
                        self.stage = Stage::Live;
                    }
                    events
                }
                Stage::Live => match self.subscriber.next().await {
                    Received::Bytes(bytes) => Some(bytes),
                    Received::Woken => None,
                    Received::Closed => return Ok(None),
                },
            };
            // Only after the bytes were taken: the reader sets `must_check` before it pushes a
            // frame that the stream may not send.
            if self.slot.take_check() {
                self.callers.find_caller(self.request.caller).await?;
            }
            if self.clock.now() >= self.request.expires {
                return Ok(None);
            }
            if bytes.is_some() {
                return Ok(bytes);
            }
        }
    }

    /// Returns the event `hello`. From here on the stream is complete.
    async fn begin(&mut self, progress: Progress) -> Result<Bytes, StoreError> {
        let ids = &self.ids;
        let id = self.request.last_event_id.take();
        let from = id.and_then(|id| ids.open(progress.epoch, &id));
        let missed = match from {
            Some(from) => {
                let changes = Arc::clone(&self.changes);
                let kind = (self.request.caller.draft_visibility, self.request.with_votes);
                CatchUp::find(changes, (from, progress), kind, Arc::clone(&self.catching_up))
                    .await?
            }
            None => None,
        };
        // Until now the log may have missed a revocation.
        self.callers.find_caller(self.request.caller).await?;
        let position = from.filter(|_| missed.is_some()).unwrap_or(progress.sent);
        let hello = frame::hello(missed.is_some(), ids.seal(progress.epoch, position).as_deref());
        self.stage = missed.map_or(Stage::Live, |missed| Stage::CatchingUp(Box::new(missed)));
        Ok(hello)
    }
}

/// The client only sees that the stream ends, and opens another one.
fn log_end(error: &StoreError) {
    if !matches!(error, StoreError::CallerRejected) {
        tracing::debug!(cause = error_chain(error), "stream of changes ended");
    }
}
