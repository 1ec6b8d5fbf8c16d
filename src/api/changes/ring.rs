//! The last frames, which all streams of the process share. The reader never waits for a stream: one
//! that falls behind by all frames ends, and its client continues with another one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::frame::Frame;
use crate::domain::change::{ChangeEpoch, ChangePosition};

/// Number of frames that are kept: those of 16 seconds or more.
const MAX_FRAMES: usize = 64;

/// Size in bytes of what a stream takes at a time. Its client may never read it, so a stream holds a
/// copy of a part, not the frame.
const PIECE_BYTES: usize = 8 * 1024;

/// How far the frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) epoch: ChangeEpoch,
    /// Every change up to this position is in a frame that was pushed.
    pub(super) sent: ChangePosition,
}

pub(super) struct Ring {
    frames: Mutex<Frames>,
    /// Changes whenever streams have something to do.
    wakes: watch::Sender<()>,
}

#[derive(Default)]
struct Frames {
    /// The number of the first frame.
    first: u64,
    kept: VecDeque<Frame>,
    /// `None` while changes may be missing.
    progress: Option<Progress>,
    is_closed: bool,
}

/// The next bytes of a stream, or why there are none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A frame, or a part of it.
    Bytes(Bytes),
    /// Nothing, but something has changed.
    Woken,
    /// The reader has ended, or the stream has missed a frame.
    Closed,
}

impl Ring {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { frames: Mutex::default(), wakes: watch::Sender::new(()) })
    }

    pub(super) fn push(&self, frame: Frame, progress: Option<Progress>) {
        let mut frames = self.frames();
        if frames.kept.len() == MAX_FRAMES {
            frames.kept.pop_front();
            frames.first += 1;
        }
        frames.kept.push_back(frame);
        frames.progress = progress;
        drop(frames);
        self.wake();
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        self.frames().progress
    }

    /// Sets the progress without a frame. Wakes the streams that wait for the first one.
    pub(super) fn set_progress(&self, progress: Option<Progress>) {
        let before = std::mem::replace(&mut self.frames().progress, progress);
        if before.is_some() != progress.is_some() {
            self.wake();
        }
    }

    /// Makes every stream check whether it may continue.
    pub(super) fn wake(&self) {
        self.wakes.send_replace(());
    }

    /// Ends every stream.
    pub(super) fn close(&self) {
        self.frames().is_closed = true;
        self.wake();
    }

    fn frames(&self) -> MutexGuard<'_, Frames> {
        // No code panics while it changes the frames.
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The position of one stream in the ring.
pub(super) struct Subscriber {
    ring: Arc<Ring>,
    wakes: watch::Receiver<()>,
    with_votes: bool,
    /// The number of the next frame, and the bytes of it that the stream has.
    next: u64,
    offset: usize,
}

impl Subscriber {
    /// Begins with the next frame.
    pub(super) fn new(ring: Arc<Ring>, with_votes: bool) -> Self {
        let wakes = ring.wakes.subscribe();
        let next = ring.frames().next();
        Self { ring, wakes, with_votes, next, offset: 0 }
    }

    /// Skips all frames, and returns up to where they are. The frames from now on have all changes
    /// after that position. Returns `None` while changes may be missing.
    pub(super) fn join(&mut self) -> Option<Progress> {
        let frames = self.ring.frames();
        (self.next, self.offset) = (frames.next(), 0);
        frames.progress.filter(|_| !frames.is_closed)
    }

    /// Waits for the next bytes.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            // Before the look at the frames, so that no frame after it is missed.
            let has_woken = self.wakes.has_changed().unwrap_or(true);
            self.wakes.mark_unchanged();
            match self.take() {
                Some(found) => return found,
                None if has_woken => return Received::Woken,
                None => {}
            }
            if self.wakes.changed().await.is_err() {
                return Received::Closed;
            }
            self.wakes.mark_changed();
        }
    }

    fn take(&mut self) -> Option<Received> {
        let frames = self.ring.frames();
        if frames.is_closed || self.next < frames.first {
            return Some(Received::Closed);
        }
        loop {
            let index = usize::try_from(self.next - frames.first).ok()?;
            let Frame { with_votes, without_votes } = frames.kept.get(index)?;
            let frame = if self.with_votes { with_votes } else { without_votes };
            let end = frame.len().min(self.offset + PIECE_BYTES);
            let piece = match frame.get(self.offset..end) {
                Some(_) if frame.len() <= PIECE_BYTES => frame.clone(),
                Some(piece) => Bytes::copy_from_slice(piece),
                None => Bytes::new(),
            };
            self.offset = end;
            if end == frame.len() {
                (self.next, self.offset) = (self.next + 1, 0);
            }
            if !piece.is_empty() {
                return Some(Received::Bytes(piece));
            }
        }
    }
}

impl Frames {
    /// Returns the number of the next frame.
    fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.kept.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const PROGRESS: Option<Progress> = Some(Progress {
        epoch: ChangeEpoch(1),
        sent: ChangePosition { transaction: 0, number: 5 },
    });

    fn frame(text: &'static str) -> Frame {
        Frame::of_all(Bytes::from_static(text.as_bytes()))
    }

    fn now(subscriber: &mut Subscriber) -> Option<Received> {
        subscriber.next().now_or_never()
    }

    fn bytes(text: &'static str) -> Received {
        Received::Bytes(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_stream_gets_the_frames_after_its_start_in_order() {
        let ring = Ring::new();
        ring.push(frame("before"), None);
        let mut subscribers = [(); 2].map(|()| Subscriber::new(Arc::clone(&ring), true));
        ring.push(frame("one"), None);
        ring.push(frame("two"), None);
        for subscriber in &mut subscribers {
            assert_eq!(
                [now(subscriber), now(subscriber)],
                [Some(bytes("one")), Some(bytes("two"))]
            );
            assert_eq!(now(subscriber), None);
        }
        ring.wake();
        assert_eq!(now(&mut subscribers[0]), Some(Received::Woken));
        assert_eq!(now(&mut subscribers[0]), None);
        ring.close();
        assert_eq!(now(&mut subscribers[0]), Some(Received::Closed));
    }

    #[test]
    fn stream_without_votes_skips_frames_that_have_only_votes() {
        let ring = Ring::new();
        let mut subscriber = Subscriber::new(Arc::clone(&ring), false);
        ring.push(Frame { without_votes: Bytes::new(), ..frame("votes") }, None);
        ring.push(frame("text"), None);
        assert_eq!(now(&mut subscriber), Some(bytes("text")));
    }

    #[test]
    fn stream_that_falls_behind_ends() {
        let ring = Ring::new();
        let mut subscriber = Subscriber::new(Arc::clone(&ring), true);
        (0..MAX_FRAMES).for_each(|_| ring.push(frame("x"), None));
        assert_eq!(now(&mut subscriber), Some(bytes("x")));
        (0..2).for_each(|_| ring.push(frame("x"), None));
        assert_eq!(now(&mut subscriber), Some(Received::Closed));
    }

    #[test]
    fn large_frame_comes_in_pieces_that_do_not_hold_it() {
        let ring = Ring::new();
        let mut subscriber = Subscriber::new(Arc::clone(&ring), true);
        let text: Bytes = (0..=255).cycle().take(2 * PIECE_BYTES + 9).collect::<Vec<u8>>().into();
        ring.push(Frame::of_all(text.clone()), None);
        let mut read = Vec::new();
        while let Some(Received::Bytes(piece)) = now(&mut subscriber) {
            assert!(piece.len() <= PIECE_BYTES);
            assert!(piece.is_unique(), "the piece holds the frame");
            read.extend(piece);
        }
        assert_eq!(read, text);
    }

    #[test]
    fn joining_skips_all_frames() {
        let ring = Ring::new();
        let mut subscriber = Subscriber::new(Arc::clone(&ring), true);
        assert_eq!(subscriber.join(), None);
        ring.push(frame("heartbeat"), None);
        ring.set_progress(PROGRESS);
        assert_eq!(subscriber.join(), PROGRESS);
        ring.push(frame("one"), PROGRESS);
        assert_eq!(now(&mut subscriber), Some(bytes("one")));
    }
}
