//! Large responses: complete for clients that read them. All unread ones share a memory limit, and
//! each has a time limit.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use post_api::api::LargeResponses;
use post_api::server::Limits;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::support::{Setup, TestApp, TestCaller, TestResponse, TestServer};

const LISTS: &str = "/posts?limit=1000";

/// Length of a text that makes a response large, in bytes.
const LARGE: usize = 300 * 1024;

/// Memory for three lists that contain one such text, in bytes.
const MEMORY_LIMIT: u32 = 1000 * 1024;

const CONCURRENT_LISTS: usize = 3;

const READ_TIMEOUT: Duration = Duration::from_mins(2);

async fn start(limit: u32) -> TestApp {
    let large_responses = LargeResponses::new(limit, READ_TIMEOUT);
    TestApp::set_up(Setup { large_responses, ..Setup::default() }).await
}

/// Returns a text without repeated parts, so that a lost or reordered chunk shows.
fn text(length: usize) -> String {
    (0..)
        .flat_map(|number: u32| format!("{number} ").into_bytes())
        .take(length)
        .map(char::from)
        .collect()
}

async fn publish(author: &TestCaller<'_>, length: usize) -> TestResponse {
    author.post("/posts", &json!({"title": "large", "content": text(length)})).await
}

/// Sends the request, and returns the response with its body unread.
async fn send_request(app: &TestApp, author: &TestCaller<'_>, path: &str) -> Response {
    let request = author.request("GET", path).body(Body::empty()).unwrap();
    app.routes().oneshot(request).await.unwrap()
}

/// Reads the body, and returns its length or the error.
async fn read_to_end(response: Response) -> String {
    match response.into_body().collect().await {
        Ok(whole) => format!("{} bytes", whole.to_bytes().len()),
        Err(error) => error.to_string(),
    }
}

/// An HTTP/2 client.
struct Client {
    requests: h2::client::SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn connect(server: &TestServer, window: u32) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (requests, connection) =
            builder.initial_window_size(window).handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn request_list(&mut self, token: &str) -> (StatusCode, HeaderMap, h2::RecvStream) {
        let request = Request::get(format!("http://localhost{LISTS}"));
        let request = request.header("authorization", format!("Bearer {token}")).body(()).unwrap();
        let (response, _) = self.requests.send_request(request, true).unwrap();
        let (parts, body) = response.await.unwrap().into_parts();
        (parts.status, parts.headers, body)
    }

    /// Drops the connection without closing it properly.
    async fn end(self) {
        self.connection.abort();
        let _ = self.connection.await;
    }
}

async fn read(mut body: h2::RecvStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend(piece);
    }
    bytes
}

#[tokio::test]
async fn large_list_is_complete_over_http_1_and_http_2() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for _ in 0..4 {
        publish(&ada, 1024 * 1024).await.expect(201);
    }
    let whole = ada.get(LISTS).await.expect(200);
    let length = whole.body.len().to_string();
    assert_eq!(whole.json()[3]["Post"]["content"], text(1024 * 1024));

    let server = TestServer::start(app.routes(), Limits::default());
    let token = ada.token.as_deref().unwrap();
    let response = server.connect().call("GET", LISTS, token, None).unwrap().expect(200);
    assert_eq!(response.header("content-length"), length);
    assert!(response.body == whole.body, "the body differs over HTTP/1.1");

    let mut client = Client::connect(&server, 100_000).await;
    let (status, headers, body) = client.request_list(token).await;
    assert_eq!((status.as_u16(), headers["content-length"].to_str().unwrap()), (200, &*length));
    assert!(read(body).await == whole.body, "the body differs over HTTP/2");
    let head = ada.head(LISTS).await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (&*length, 0));
}

#[tokio::test]
async fn unread_http_2_lists_share_one_memory_limit() {
    let app = start(MEMORY_LIMIT).await;
    let ada = app.signed_in("ada").await;
    publish(&ada, LARGE).await.expect(201);
    let small = ada.write_post("small").await;
    let server = TestServer::start(app.routes(), Limits::default());
    let token = ada.token.as_deref().unwrap();
    let mut clients = [Client::connect(&server, 0).await, Client::connect(&server, 0).await];
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for number in 0..20 {
        let (status, headers, body) = clients[number % 2].request_list(token).await;
        match status.as_u16() {
            200 => accepted.push(body),
            503 => {
                assert_eq!(headers["retry-after"], "2");
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((accepted.len(), refused), (CONCURRENT_LISTS, 20 - CONCURRENT_LISTS));

    let mut wire = server.connect();
    let refusal = wire.call("GET", LISTS, token, None).unwrap().expect(503);
    assert_eq!(refusal.detail(), "the service is overloaded, try again later");
    wire.call("GET", &format!("/posts/{small}"), token, None).unwrap().expect(200);
    wire.call("GET", "/docs/redoc.js", "", None).unwrap().expect(200);

    drop(accepted);
    for client in clients {
        client.end().await;
    }
    wait_for_memory(&server, token);
}

/// The service releases memory once it has noticed the end of a connection.
#[track_caller]
fn wait_for_memory(server: &TestServer, token: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    while server.connect().call("GET", LISTS, token, None).unwrap().status != 200 {
        assert!(Instant::now() < end, "the memory is never released");
    }
}

#[tokio::test]
async fn list_not_read_in_time_expires() {
    let app = start(MEMORY_LIMIT).await;
    let ada = app.signed_in("ada").await;
    publish(&ada, LARGE).await.expect(201);
    let mut unread = Vec::new();
    for _ in 0..CONCURRENT_LISTS {
        unread.push(send_request(&app, &ada, LISTS).await);
    }
    // The transport has got only the first chunk.
    let piece = unread[0].body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(piece.len() < LARGE / 10, "{}", piece.len());
    advance_clock(READ_TIMEOUT * 9 / 10).await;
    assert_eq!(send_request(&app, &ada, LISTS).await.status(), 503);
    advance_clock(READ_TIMEOUT / 5).await;
    for _ in 0..2 * CONCURRENT_LISTS {
        ada.get(LISTS).await.expect(200);
    }
    for response in unread {
        assert_eq!(response.status(), 200);
        assert_eq!(read_to_end(response).await, "the response expired before it was read");
    }
}

/// The client disconnects before it reads, or after the first chunk.
#[tokio::test]
async fn list_of_disconnected_client_releases_memory_and_timer() {
    let app = start(MEMORY_LIMIT).await;
    let ada = app.signed_in("ada").await;
    let before = alive_tasks();
    publish(&ada, LARGE).await.expect(201);
    for _ in 0..2 * CONCURRENT_LISTS {
        let mut response = send_request(&app, &ada, LISTS).await;
        assert_eq!(response.status(), 200);
        drop(send_request(&app, &ada, LISTS).await);
        response.body_mut().frame().await.unwrap().unwrap();
    }
    // An aborted task ends when the runtime polls it.
    for _ in 0..1000 {
        if alive_tasks() <= before {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} timers are left", alive_tasks() - before);
}

#[tokio::test]
async fn response_larger_than_the_limit_takes_all_of_it() {
    let app = start(100 * 1024).await;
    let ada = app.signed_in("ada").await;
    publish(&ada, LARGE).await.expect(201);
    let unread = send_request(&app, &ada, LISTS).await;
    assert_eq!(ada.get(LISTS).await.status, 503);
    drop(unread);
    ada.get(LISTS).await.expect(200);
}

/// JSON encodes each of these characters in six bytes.
#[tokio::test]
async fn escaped_text_counts_with_its_encoded_size() {
    let app = start(MEMORY_LIMIT).await;
    let ada = app.signed_in("ada").await;
    let content = "\u{1}".repeat(100 * 1024);
    ada.post("/posts", &json!({"title": "large", "content": content})).await.expect(201);
    let unread = send_request(&app, &ada, LISTS).await;
    assert_eq!(unread.status(), 200);
    let refusal = ada.get(LISTS).await.expect(503);
    assert_eq!(refusal.header("retry-after"), "2");
    drop(unread);
    assert_eq!(ada.get(LISTS).await.expect(200).json()[0]["Post"]["content"], content);
}

/// The write is committed, so 503 would make the client retry it.
#[tokio::test]
async fn write_with_large_response_over_the_limit_still_gets_201() {
    let app = start(100 * 1024).await;
    let ada = app.signed_in("ada").await;
    publish(&ada, LARGE).await.expect(201);
    let unread = send_request(&app, &ada, LISTS).await;
    let post = json!({"title": "second", "content": text(LARGE)}).to_string();
    let request = ada.request("POST", "/posts").header("content-type", "application/json");
    let response = app.routes().oneshot(request.body(Body::from(post)).unwrap()).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(read_to_end(response).await, "the response expired before it was read");
    drop(unread);
    assert_eq!(ada.titles(LISTS).await, ["second", "large"]);
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Advances the clock of the runtime. The store runs on its own threads, in real time.
async fn advance_clock(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    // The store may finish so fast that the runtime polls no other task.
    tokio::task::yield_now().await;
}
