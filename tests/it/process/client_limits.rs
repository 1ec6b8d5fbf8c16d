//! The memory that clients make the process hold: request heads, bodies and responses. Each counts
//! until it is released, and a client that reaches a limit gets 431 or 503.
//!
//! Not here: the limits themselves, see `src/client_limits/`; time limits, see `idle_timeout.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use post_api::client_limits::ClientLimits;
use post_api::server::{Limits, with_middleware};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::support::{Setup, TestApp, TestCaller, TestResponse, TestServer, middleware_config};

const KIB: usize = 1024;

const LISTS: &str = "/posts?limit=1000";

/// Length of a text that makes a response large, in bytes.
const LARGE: usize = 300 * KIB;

/// Memory in KiB for three unread lists that contain one such text. A list also needs memory for
/// its rows until it is serialized, and an eighth is left to small requests.
const THREE_LISTS: usize = 1600;

async fn start(memory: usize) -> TestApp {
    let client_limits = ClientLimits::new(memory * KIB, 1000);
    TestApp::set_up(Setup { client_limits, ..Setup::default() }).await
}

/// Returns a text without repeated parts, so that a lost or reordered chunk shows.
fn text(length: usize) -> String {
    (0..)
        .map(|number| format!("{number} "))
        .flat_map(String::into_bytes)
        .take(length)
        .map(char::from)
        .collect()
}

async fn publish(author: &TestCaller<'_>, length: usize) -> TestResponse {
    author.post("/posts", &json!({"title": "large", "content": text(length)})).await
}

/// Sends a request in process, and returns the response with its unread body.
async fn send(app: &TestApp, caller: &TestCaller<'_>, path: &str) -> Response {
    let request = caller.request("GET", path).body(Body::empty()).unwrap();
    app.routes().oneshot(request).await.unwrap()
}

/// Starts to create a post: the service has read `chunk` and waits for the rest.
async fn start_upload(
    app: &TestApp,
    author: &TestCaller<'_>,
    chunk: Vec<u8>,
) -> (mpsc::Sender<Bytes>, JoinHandle<Response>) {
    let (sender, receiver) = mpsc::channel(1);
    let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
    let request = author.request("POST", "/posts").header("content-type", "application/json");
    let response = tokio::spawn(app.routes().oneshot(request.body(body).unwrap()));
    let response = tokio::spawn(async { response.await.unwrap().unwrap() });
    sender.send(chunk.into()).await.unwrap();
    // The channel holds one chunk, so it accepts this one after the service has read the first.
    sender.send(Bytes::new()).await.unwrap();
    (sender, response)
}

#[tokio::test]
async fn large_bodies_share_the_memory_and_leave_some_to_small_ones() {
    let app = start(400).await;
    let ada = app.signed_in("ada").await;
    let beginning = format!(r#"{{"title": "title", "content": "{}"#, "x".repeat(190 * KIB));
    let (sender, upload) = start_upload(&app, &ada, beginning.into()).await;

    let refusal = publish(&ada, 150 * KIB).await.expect(503);
    assert_eq!(refusal.detail(), "the service is overloaded, try again later");
    assert_eq!(refusal.header("retry-after"), "2");
    publish(&ada, 100 * KIB).await.expect(201);
    let many_small_ones = (0..4).map(|_| publish(&ada, 15 * KIB));
    for response in futures_util::future::join_all(many_small_ones).await {
        response.expect(201);
    }
    // Without a token the body is not read.
    publish(&app.anonymous(), 150 * KIB).await.expect(401);

    sender.send(Bytes::from_static(b"\"}")).await.unwrap();
    drop(sender);
    assert_eq!(upload.await.unwrap().status(), 201);
    publish(&ada, 150 * KIB).await.expect(201);
}

#[tokio::test]
async fn body_of_disconnected_client_releases_its_memory() {
    let app = start(400).await;
    let ada = app.signed_in("ada").await;
    let (sender, upload) = start_upload(&app, &ada, vec![b' '; 190 * KIB]).await;
    publish(&ada, 180 * KIB).await.expect(503);
    drop(sender);
    assert_eq!(upload.await.unwrap().status(), 422, "the body is incomplete");
    publish(&ada, 180 * KIB).await.expect(201);
}

/// The handler still uses the body after it has read it.
#[tokio::test]
async fn body_memory_is_held_until_the_response() {
    let responses = Arc::new(Semaphore::new(0));
    let may_respond = Arc::clone(&responses);
    let handler = move |body: Body| async move {
        let Ok(read) = body.collect().await else { return StatusCode::SERVICE_UNAVAILABLE };
        drop(read);
        may_respond.acquire().await.unwrap().forget();
        StatusCode::OK
    };
    let mut middleware = middleware_config();
    middleware.client_limits = ClientLimits::new(400 * KIB, 1);
    let routes = with_middleware(Router::new().route("/", post(handler)), middleware);
    let send = |length| {
        let request = Request::post("/").header("host", "localhost");
        let request = request.body(Body::from(vec![b' '; length])).unwrap();
        tokio::spawn(routes.clone().oneshot(request))
    };
    let first = send(190 * KIB);
    // On one thread each task gets its turn, so the first request now waits in its handler.
    tokio::task::yield_now().await;
    assert_eq!(send(180 * KIB).await.unwrap().unwrap().status(), 503);
    responses.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(send(180 * KIB).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn unread_lists_share_the_memory_until_the_client_leaves() {
    let app = start(THREE_LISTS).await;
    let ada = app.signed_in("ada").await;
    publish(&ada, LARGE).await.expect(201);
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(send(&app, &ada, LISTS).await);
        assert_eq!(unread.last().unwrap().status(), 200);
    }
    let refusal = ada.get(LISTS).await.expect(503);
    assert_eq!(refusal.header("retry-after"), "2");
    ada.get("/users/me").await.expect(200);
    unread.pop();
    ada.get(LISTS).await.expect(200);
}

/// An export holds the page that it writes from, and the lines that the client has not read.
#[tokio::test]
async fn unread_export_counts_until_the_client_leaves() {
    let app = start(THREE_LISTS).await;
    let ada = app.signed_in("ada").await;
    for _ in 0..2 {
        publish(&ada, 2 * LARGE).await.expect(201);
    }
    let unread = send(&app, &ada, "/users/me/export").await;
    assert_eq!(unread.status(), 200);
    assert_eq!(ada.get("/users/me/export").await.expect(503).header("retry-after"), "2");
    drop(unread);
    ada.get("/users/me/export").await.expect(200);
}

/// JSON encodes each of these characters in six bytes.
#[tokio::test]
async fn escaped_text_counts_with_its_encoded_size() {
    let app = start(THREE_LISTS).await;
    let ada = app.signed_in("ada").await;
    let content = "\u{1}".repeat(130 * KIB);
    let post = json!({"title": "large", "content": content});
    let id = ada.post("/posts", &post).await.expect(201).json()["id"].as_i64().unwrap();
    let unread = send(&app, &ada, &format!("/posts/{id}")).await;
    assert_eq!(unread.status(), 200);
    ada.get(LISTS).await.expect(503);
    drop(unread);
    assert_eq!(ada.get(LISTS).await.expect(200).json()[0]["Post"]["content"], content);
}

/// The write is committed, so 503 would make the client retry it.
#[tokio::test]
async fn write_whose_response_exceeds_the_memory_still_gets_201() {
    let large = || "x".repeat(LARGE);
    let routes = Router::new()
        .route("/", post(async move || (StatusCode::CREATED, large())).get(async move || large()));
    let mut middleware = middleware_config();
    middleware.client_limits = ClientLimits::new(800 * KIB, 1);
    let routes = with_middleware(routes, middleware);
    let send = async |method: &str| {
        let request = Request::builder().method(method).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        routes.clone().oneshot(request).await.unwrap()
    };
    let unread = [send("GET").await, send("GET").await];
    assert_eq!(send("GET").await.status(), 503);
    let response = send("POST").await;
    assert_eq!(response.status(), 201);
    let cut_off = response.into_body().collect().await.unwrap_err().to_string();
    assert_eq!(cut_off, "the response is cut off: the limit is reached: memory of the process");
    drop(unread);
    assert_eq!(send("POST").await.into_body().collect().await.unwrap().to_bytes().len(), LARGE);
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

    async fn request(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, h2::RecvStream) {
        let mut request = Request::get(format!("http://localhost{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (response, _) = self.requests.send_request(request.body(()).unwrap(), true).unwrap();
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
        publish(&ada, 1024 * KIB).await.expect(201);
    }
    let whole = ada.get(LISTS).await.expect(200);
    let length = whole.body.len().to_string();
    assert_eq!(whole.json()[3]["Post"]["content"], text(1024 * KIB));

    let server = TestServer::start(app.routes(), Limits::default());
    let token = ada.token.as_deref().unwrap();
    let response = server.connect().call("GET", LISTS, token, None).unwrap().expect(200);
    assert_eq!(response.header("content-length"), length);
    assert!(response.body == whole.body, "the body differs over HTTP/1.1");

    let mut client = Client::connect(&server, 100_000).await;
    let bearer = format!("Bearer {token}");
    let (status, headers, body) = client.request(LISTS, &[("authorization", &bearer)]).await;
    assert_eq!((status.as_u16(), headers["content-length"].to_str().unwrap()), (200, &*length));
    assert!(read(body).await == whole.body, "the body differs over HTTP/2");
    let head = ada.head(LISTS).await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (&*length, 0));
}

/// A response of any size counts while its window is closed. The refusal has no body that could
/// wait for a window.
#[tokio::test]
async fn unread_http_2_responses_end_at_the_share_of_the_network() {
    // An eighth is for one network: 32 KiB for each of two connections, and 24 requests.
    let client_limits = ClientLimits::new(8 * (2 * 32 + 24 * 12) * KIB, 1000);
    let app = TestApp::set_up(Setup { client_limits, ..Setup::default() }).await;
    let server = TestServer::start(app.routes(), Limits::default());
    let mut clients = [Client::connect(&server, 0).await, Client::connect(&server, 0).await];
    let (mut unread, mut refused) = (Vec::new(), 0);
    for number in 0..40 {
        let (status, headers, body) = clients[number % 2].request("/users/1", &[]).await;
        match status.as_u16() {
            404 => unread.push(body),
            503 => {
                assert_eq!(headers["retry-after"], "2");
                assert!(body.is_end_stream());
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((unread.len(), refused), (24, 16));
    app.anonymous().get("/users/1").await.expect(404);

    drop(unread);
    for client in clients {
        client.end().await;
    }
    let end = Instant::now() + Duration::from_mins(1);
    // The service releases memory once it has noticed the end of a connection.
    while server
        .connect()
        .call("GET", "/users/1", "", None)
        .map_or(503, |response| response.status.as_u16())
        != 404
    {
        assert!(Instant::now() < end, "the memory is never released");
    }
}

#[tokio::test]
async fn head_with_too_many_fields_gets_431_over_http_1_and_http_2() {
    let app = TestApp::start().await;
    let server = TestServer::start(app.routes(), Limits::default());
    for (fields, status) in [(100, 200), (101, 431), (400, 431)] {
        let mut client = Client::connect(&server, 100_000).await;
        let (http_2, ..) = client.request("/livez", &vec![("a", ""); fields]).await;
        assert_eq!(http_2, status, "{fields} fields over HTTP/2");
        let head = format!("GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n", "a:\r\n".repeat(fields - 1));
        assert_eq!(server.connect().exchange(head).status, status, "{fields} fields");
    }
}

/// The largest body with the most values takes several times its size while it is parsed, and its
/// errors must not repeat it.
#[tokio::test]
async fn error_does_not_repeat_a_large_body() {
    let app = TestApp::start().await;
    for body in [
        json!({"email": "x".repeat(500 * KIB)}),
        (0..40_000).map(|number| (number.to_string(), json!([]))).collect(),
        json!(vec![json!([]); 40_000]),
    ] {
        let response = app.anonymous().post("/users", &body).await.expect(422);
        assert!(response.body.len() < 20 * KIB, "{} bytes", response.body.len());
    }
    let digits = "9".repeat(4000);
    let missing = app.anonymous().get(&format!("/users/{digits}")).await.expect(404);
    let shown = format!("the user with the id:{}… was no found", &digits[..100]);
    assert_eq!(missing.detail(), shown);
}
