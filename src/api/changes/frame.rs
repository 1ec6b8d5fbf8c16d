//! The text of events (HTML standard, 9.2.5), in frames that are sent as a whole.

use bytes::Bytes;

use super::coalesced_change::EventKind;
use crate::api::json_response::append_json;
use crate::api::routes::post_types::PostOut;
use crate::domain::change::ChangedPost;
use crate::domain::post::{PostId, PostWithVotes};

/// Maximum size of a frame in bytes.
pub(super) const MAX_FRAME_BYTES: usize = 256 * 1024;

/// Maximum size in bytes of the item in an event. The client reads a larger one itself: 10,000
/// streams would make a post of 2 MiB 20 GiB. The store leaves out longer texts.
const MAX_ITEM_BYTES: usize = 4096;

/// One frame for the two kinds of streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) with_votes: Bytes,
    /// Without the events `votes`. Empty if there are no others.
    pub(super) without_votes: Bytes,
}

impl Frame {
    /// Returns a frame that is the same for all streams.
    pub(super) fn of_all(text: Bytes) -> Self {
        Self { with_votes: text.clone(), without_votes: text }
    }
}

/// Length of the lines of an event without its data and its ID.
const EVENT_BYTES: usize = "event: created\ndata: \n\n".len();

/// Length of the line with the ID, of which a frame has one.
const ID_BYTES: usize = 80;

/// The events of a frame that is not complete.
#[derive(Debug)]
pub(super) struct FrameBuilder {
    events: Vec<Event>,
    bytes: usize,
    maximum: usize,
}

#[derive(Debug)]
struct Event {
    kind: EventKind,
    data: Vec<u8>,
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self::of_at_most(MAX_FRAME_BYTES)
    }
}

impl FrameBuilder {
    pub(super) fn of_at_most(maximum: usize) -> Self {
        Self { events: Vec::new(), bytes: ID_BYTES, maximum }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds an event. Returns false, and adds nothing, if it does not fit. The first one always fits.
    pub(super) fn push(
        &mut self,
        kind: EventKind,
        id: PostId,
        found: Option<&ChangedPost>,
    ) -> bool {
        let data = data_of(kind, id, found);
        let bytes = self.bytes + data.len() + EVENT_BYTES;
        if bytes > self.maximum && !self.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.events.push(Event { kind, data });
        true
    }

    /// Returns the frame. The ID is that of its last event, so that a client that gets only a part of
    /// the frame asks for all of it again.
    pub(super) fn finish(&self, id: Option<&str>) -> Frame {
        let with_votes = self.write(id, |_| true);
        let without_votes = self.write(id, |event| event.kind != EventKind::Votes);
        Frame { with_votes, without_votes }
    }

    /// Returns the events that the filter accepts.
    fn write(&self, id: Option<&str>, filter: impl Fn(&Event) -> bool) -> Bytes {
        let mut text = Vec::with_capacity(self.bytes);
        let mut events = self.events.iter().filter(|event| filter(event)).peekable();
        while let Some(Event { kind, data }) = events.next() {
            let id = id.filter(|_| events.peek().is_none());
            append_event(&mut text, name(*kind), id, data);
        }
        text.into()
    }

    /// Returns only the text for one kind of streams.
    pub(super) fn finish_one(&self, id: Option<&str>, with_votes: bool) -> Bytes {
        self.write(id, |event| with_votes || event.kind != EventKind::Votes)
    }
}

/// Returns the first lines of a stream: how long the client waits, in milliseconds, before it opens
/// the next one.
pub(super) fn retry(milliseconds: u64) -> Bytes {
    format!("retry: {milliseconds}\n\n").into()
}

/// Returns the event after which the stream is complete.
pub(super) fn hello(is_resumed: bool, id: Option<&str>) -> Bytes {
    let mut text = Vec::new();
    append_event(&mut text, "hello", id, format!("{{\"resumed\":{is_resumed}}}").as_bytes());
    text.into()
}

/// Returns the event after which the client must read its lists again.
pub(super) fn reset(id: Option<&str>) -> Bytes {
    let mut text = Vec::new();
    append_event(&mut text, "reset", id, b"{}");
    text.into()
}

/// Returns a comment that keeps the connection open. It has the newest ID, because a client without
/// votes can get no event, and so no newer ID, for a long time.
pub(super) fn heartbeat(id: Option<&str>) -> Bytes {
    id.map_or(Bytes::from_static(b":\n\n"), |id| format!(":\nid: {id}\n\n").into())
}

fn append_event(text: &mut Vec<u8>, name: &str, id: Option<&str>, data: &[u8]) {
    text.extend(format!("event: {name}\n").bytes());
    if let Some(id) = id {
        text.extend(format!("id: {id}\n").bytes());
    }
    text.extend(b"data: ");
    // JSON has no line breaks.
    text.extend(data);
    text.extend(b"\n\n");
}

fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Created => "created",
        EventKind::Updated => "updated",
        EventKind::Votes => "votes",
        EventKind::Deleted => "deleted",
    }
}

fn data_of(kind: EventKind, PostId(id): PostId, found: Option<&ChangedPost>) -> Vec<u8> {
    match (kind, found) {
        (EventKind::Votes, Some(found)) => {
            format!("{{\"id\":{id},\"votes\":{}}}", found.votes).into()
        }
        (EventKind::Created | EventKind::Updated, Some(found)) => {
            let mut data = format!("{{\"id\":{id}").into_bytes();
            if let Some(item) = item(found) {
                data.extend(b",\"item\":");
                data.extend(item.bytes());
            }
            data.push(b'}');
            data
        }
        _ => format!("{{\"id\":{id}}}").into(),
    }
}

fn item(found: &ChangedPost) -> Option<String> {
    let post = found.post.clone()?;
    let mut item = Vec::new();
    append_json(&mut item, &PostOut::from(PostWithVotes { post, votes: found.votes }));
    let item = escape_line_separators(&String::from_utf8(item).ok()?);
    (item.len() <= MAX_ITEM_BYTES).then_some(item)
}

/// Escapes the two characters that JSON allows in a string and that regular expressions of
/// JavaScript take for the end of a line. A client could otherwise read lines from a post.
fn escape_line_separators(json: &str) -> String {
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::post::Post;
    use crate::domain::text::Text;
    use crate::domain::user::UserId;

    /// Returns a post with this text.
    pub(in crate::api::changes) fn post(id: i64, content: &str, votes: i64) -> ChangedPost {
        let post = Post {
            id: PostId(id),
            title: Text::parse("title").unwrap(),
            content: Text::parse(content).unwrap(),
            published: true,
            created_at: Timestamp::UNIX_EPOCH,
            owner_id: UserId(1),
        };
        ChangedPost { id: post.id, votes, post: Some(post) }
    }

    fn text(frame: &Bytes) -> &str {
        std::str::from_utf8(frame).unwrap()
    }

    #[test]
    fn only_the_last_event_of_a_frame_has_its_id() {
        let mut frame = FrameBuilder::default();
        assert!(frame.push(EventKind::Created, PostId(9), Some(&post(9, "a\nb", 0))));
        assert!(frame.push(EventKind::Deleted, PostId(4), None));
        assert!(frame.push(EventKind::Votes, PostId(7), Some(&post(7, "", 18))));
        let created = "event: created\ndata: {\"id\":9,\"item\":{\"Post\":{\"title\":\"title\",\
                       \"content\":\"a\\nb\",\"published\":true,\"id\":9,\
                       \"created_at\":\"1970-01-01T00:00:00Z\",\"owner_id\":1},\"votes\":0}}\n\n";
        let frame = frame.finish(Some("x"));
        assert_eq!(
            text(&frame.with_votes),
            format!(
                "{created}event: deleted\ndata: {{\"id\":4}}\n\n\
                 event: votes\nid: x\ndata: {{\"id\":7,\"votes\":18}}\n\n"
            )
        );
        assert_eq!(
            text(&frame.without_votes),
            format!("{created}event: deleted\nid: x\ndata: {{\"id\":4}}\n\n")
        );
    }

    #[test]
    fn line_separators_of_a_post_are_escaped() {
        let hostile = post(9, "\u{2028}retry: 0\u{2029}id: x", 0);
        let data =
            String::from_utf8(data_of(EventKind::Created, PostId(9), Some(&hostile))).unwrap();
        assert!(data.contains(r"\u2028retry: 0\u2029id: x"), "{data}");
        let read: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(read["item"]["Post"]["content"], "\u{2028}retry: 0\u{2029}id: x");
    }

    #[test]
    fn large_item_is_left_out() {
        for (length, has_item) in [(3900, true), (4096, false)] {
            let data =
                data_of(EventKind::Updated, PostId(9), Some(&post(9, &"x".repeat(length), 0)));
            assert_eq!(data.len() > 100, has_item, "{length}");
            assert!(has_item || data == b"{\"id\":9}", "{length}");
        }
        let unread = ChangedPost { post: None, ..post(9, "", 0) };
        assert_eq!(data_of(EventKind::Updated, PostId(9), Some(&unread)), b"{\"id\":9}");
        // Each of these characters takes six bytes of JSON.
        let escaped =
            data_of(EventKind::Updated, PostId(9), Some(&post(9, &"\u{1}".repeat(900), 0)));
        assert_eq!(escaped, b"{\"id\":9}");
    }

    #[test]
    fn frame_takes_events_up_to_its_size() {
        let mut frame = FrameBuilder::default();
        let large = post(1, &"x".repeat(3900), 0);
        let mut pushed = 0;
        while frame.push(EventKind::Created, PostId(1), Some(&large)) {
            pushed += 1;
        }
        let length = frame.finish(Some(&"i".repeat(62))).with_votes.len();
        assert!(length <= MAX_FRAME_BYTES && length > MAX_FRAME_BYTES - 8192, "{length}");
        assert!(pushed > 50);
    }

    #[test]
    fn lines_of_the_stream_itself_are_plain() {
        assert_eq!(text(&retry(3471)), "retry: 3471\n\n");
        assert_eq!(
            text(&hello(false, Some("x"))),
            "event: hello\nid: x\ndata: {\"resumed\":false}\n\n"
        );
        assert_eq!(text(&reset(None)), "event: reset\ndata: {}\n\n");
        assert_eq!(text(&heartbeat(None)), ":\n\n");
        assert_eq!(text(&heartbeat(Some("x"))), ":\nid: x\n\n");
    }
}
