//! A stream of server-sent events in this process.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, HOST};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use post_api::server::AppService;
use serde_json::Value;
use tower::ServiceExt as _;

/// The time for one event, on a machine that is busy with other tests.
const EVENT_TIMEOUT: Duration = Duration::from_mins(1);

/// The media type of responses without an end.
pub(super) const EVENTS: &str = "text/event-stream";

/// Reads a body to its end. Only the beginning of a stream is read, because it has no end.
pub(super) async fn read_body(headers: &HeaderMap, mut body: Body) -> Vec<u8> {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != EVENTS) {
        return body.collect().await.unwrap().to_bytes().to_vec();
    }
    let first = body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
    first.unwrap_or_default().to_vec()
}

pub struct EventStream {
    body: BodyDataStream,
    /// Everything that was read, without the blocks that [`EventStream::block`] has returned.
    unread: String,
    /// Everything that was read.
    pub read: String,
    /// The `id` of the last event.
    pub last_id: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

impl Event {
    pub fn id(&self) -> i64 {
        self.data["id"].as_i64().unwrap()
    }
}

impl EventStream {
    /// Sends the request and reads the first lines.
    pub async fn open(routes: AppService, mut request: Request<Body>) -> Self {
        request.headers_mut().entry(HOST).or_insert("localhost".parse().unwrap());
        let response = routes.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], EVENTS);
        Self::of(response.into_body()).await
    }

    async fn of(body: Body) -> Self {
        let mut stream = Self {
            body: body.into_data_stream(),
            unread: String::new(),
            read: String::new(),
            last_id: String::new(),
        };
        let first = stream.block().await.unwrap();
        let milliseconds = first.strip_prefix("retry: ").unwrap_or_else(|| panic!("{first:?}"));
        assert!((2_000..=6_000).contains(&milliseconds.parse::<u64>().unwrap()), "{first:?}");
        stream
    }

    /// Returns the lines up to the next blank one. `None` means that the stream has ended.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    id.clone_into(&mut self.last_id);
                }
                return Some(block);
            }
            let next = tokio::time::timeout(EVENT_TIMEOUT, self.body.next()).await;
            let bytes = next.expect("no event in time")?.unwrap();
            let text = std::str::from_utf8(&bytes).unwrap();
            self.unread.push_str(text);
            self.read.push_str(text);
        }
    }

    /// Returns the next event. `None` means that the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = field("data: ") {
                let name = field("event: ").unwrap().to_owned();
                return Some(Event { name, data: serde_json::from_str(data).unwrap() });
            }
        }
    }

    /// Returns the next event with this name, and fails if there is another one.
    pub async fn expect(&mut self, name: &str) -> Value {
        let event = self.next().await.expect("the stream has ended");
        assert_eq!(event.name, name, "{event:?}");
        event.data
    }

    /// Reads until the event about this post, and returns all events before it.
    pub async fn until(&mut self, name: &str, id: i64) -> Vec<Event> {
        let mut before = Vec::new();
        loop {
            let event = self.next().await.expect("the stream has ended");
            if event.name == name && event.id() == id {
                return before;
            }
            before.push(event);
        }
    }

    /// Reads to the end, and returns the events before it.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
