//! The feed of changes: what the streams of `GET /posts/changes` get.
//!
//! | file | part |
//! | --- | --- |
//! | `feed.rs`, `streams.rs` | the streams of the process |
//! | `open.rs` | opens a stream, and starts the reader |
//! | `reader.rs` | the one task that reads the log of changes and makes frames |
//! | `pending_changes.rs`, `coalesced_change.rs` | changes that are not sent yet, one for each post |
//! | `frame.rs` | the text of events |
//! | `ring.rs` | the last frames, which all streams share |
//! | `stream.rs`, `catch_up.rs` | one stream, and the changes that it missed |
//!
//! A change is sent as the post is now, never as it was. So a stream may repeat an event, and a count
//! stands for all votes before it. Only published posts are read, so no event can show a draft.
//!
//! A stream gets nothing that was committed after the tokens of its account were revoked. The
//! reader first reads the posts of a frame, then the log up to that time, then sends the frame. If
//! the log has a revocation, the streams of its account first check their tokens in the store.
//!
//! Not here: the routes, see `routes/changes.rs`; the log, see `store::ChangeStore`.

mod catch_up;
mod changed_posts;
mod coalesced_change;
mod event_id;
mod feed;
mod frame;
mod open;
mod pending_changes;
mod reader;
mod response_timeout;
mod ring;
mod stream;
mod streams;
#[cfg(test)]
mod tests;

pub use feed::ChangeFeed;
pub(super) use open::open_stream;
pub(super) use stream::StreamRequest;
