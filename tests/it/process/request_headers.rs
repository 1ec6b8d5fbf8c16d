//! Request heads of every shape: the service serves valid ones, rejects invalid ones, and never
//! returns 5xx.

use bytes::Bytes;
use post_api::server::Limits;

use crate::support::{TestApp, TestServer};

async fn serve() -> (TestApp, TestServer) {
    let app = TestApp::start().await;
    let server = TestServer::start(app.routes(), Limits::default());
    (app, server)
}

#[tokio::test]
async fn oversized_request_head_closes_the_connection() {
    let (_app, server) = serve().await;
    let many = "a: b\r\n".repeat(101);
    let large = format!("a: {}\r\n", "b".repeat(70 * 1024));
    for fields in [many, large] {
        let mut wire = server.connect();
        // The service may close the connection before it has read everything.
        let _ = wire.try_send(format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n"));
        let output = wire.rest();
        assert!(output.starts_with("HTTP/1.1 431 ") || output.is_empty(), "{output}");
    }
    let fitting = "a: b\r\n".repeat(99);
    let mut wire = server.connect();
    let response = wire.exchange(format!("GET /livez HTTP/1.1\r\nhost: a\r\n{fitting}\r\n"));
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn long_path_never_gets_5xx() {
    let (_app, server) = serve().await;
    for length in [1024, 32 * 1024, 65_000, 70_000] {
        let mut wire = server.connect();
        let path = "a".repeat(length);
        let _ =
            wire.try_send(format!("GET /{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
        let output = wire.rest();
        let status = output.get(9..12).unwrap_or("closed");
        assert!(["404", "414", "431", "closed"].contains(&status), "{length}: {status}");
    }
}

#[tokio::test]
async fn http_1_0_is_served() {
    let (_app, server) = serve().await;
    let mut wire = server.connect();
    let response = wire.exchange("GET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(wire.rest(), "", "the connection stays open without keep-alive");
    let mut wire = server.connect();
    for _ in 0..2 {
        let response = wire.exchange("GET /livez HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!(response.status, 200);
    }
}

#[tokio::test]
async fn expect_continue_gets_100_or_an_early_rejection() {
    let (_app, server) = serve().await;
    let body = r#"{"email": "not one", "password": "plum lantern 83 quay"}"#;
    let mut wire = server.connect();
    let interim = wire.exchange(format!(
        "POST /users HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\
         content-type: application/json\r\n\r\n",
        body.len()
    ));
    assert_eq!(interim.status, 100);
    assert_eq!(wire.exchange(body).status, 422);

    // An early rejection spares the client the body.
    let mut wire = server.connect();
    let response = wire.exchange(
        "POST /users HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9999999\r\n\r\n",
    );
    assert_eq!(response.status, 413);
    let mut wire = server.connect();
    let response = wire.exchange(
        "POST /posts HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n",
    );
    assert_eq!(response.status, 401);
}

/// The rejection waits for the store. In the meantime the service must not ask for the body.
#[tokio::test]
async fn rejected_body_gets_no_100_continue() {
    let (app, server) = serve().await;
    let ada = app.signed_in("ada").await;
    let token = ada.token.as_deref().unwrap();
    for _ in 0..20 {
        let response = server.connect().exchange(format!(
            "POST /posts HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             expect: 100-continue\r\ncontent-length: 3000000\r\n\r\n"
        ));
        assert_eq!(response.status, 413);
    }
}

/// After `100 Continue` a client may send the whole body before it reads the response.
#[tokio::test]
async fn body_rejected_after_100_continue_is_drained() {
    let (_app, server) = serve().await;
    let body = "x".repeat(7 * 1024 * 1024);
    let mut wire = server.connect();
    let interim = wire.exchange(
        "POST /users HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    assert_eq!(interim.status, 100);
    assert_eq!(wire.exchange(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).status, 413);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_app, server) = serve().await;
    let mut wire = server.connect();
    wire.send(
        "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n\
         POST /posts HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n{\"a\":\
         GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n\
         PUT /livez HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    let statuses: Vec<u16> = (0..4).map(|_| wire.read_response().status.as_u16()).collect();
    assert_eq!(statuses, [200, 401, 404, 405]);
}

#[tokio::test]
async fn every_request_target_and_method_is_answered() {
    let (_app, server) = serve().await;
    let cases = [
        ("GET http://elsewhere.example/livez", 200),
        ("GET http://elsewhere.example/posts/", 401),
        ("OPTIONS *", 404),
        ("OPTIONS /livez", 405),
        ("TRACE /livez", 405),
        ("TRACE *", 404),
        ("CONNECT elsewhere.example:443", 404),
        ("PATCH /livez", 405),
        ("get /livez", 405),
        ("BREW /livez", 405),
        ("PATCH /nowhere", 404),
        ("GET //elsewhere.example/", 404),
        ("GET /posts/..;/users", 404),
        ("GET /livez?%00%ff", 200),
        ("GET /%2e%2e/livez", 404),
    ];
    for (line, status) in cases {
        let mut wire = server.connect();
        wire.send(format!(
            "{line} HTTP/1.1\r\nhost: elsewhere.example\r\nconnection: close\r\n\r\n"
        ));
        let response = wire.read_response();
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.header("location"), "", "{line}");
    }
    let long = "A".repeat(1024);
    let response = server.connect().exchange(format!("{long} /livez HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert!(response.status.is_client_error(), "{}", response.status);
    assert_eq!(server.connect().call("GET", "/livez", "", None).unwrap().status, 200);
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_served() {
    let (app, server) = serve().await;
    let ada = app.signed_in("ada").await;
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |method: &str, path: &str| {
        axum::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", server.address))
            .header("authorization", format!("Bearer {}", ada.token.as_deref().unwrap()))
            .header("content-type", "application/json")
            .body(())
            .unwrap()
    };
    // Several requests are in flight on one connection.
    let (live, _) = client.send_request(request("GET", "/livez"), true).unwrap();
    let (post, mut body) = client.send_request(request("POST", "/posts"), false).unwrap();
    let text = Bytes::from_static(br#"{"title": "over two", "content": "text"}"#);
    body.send_data(text, true).unwrap();
    let (me, _) = client.send_request(request("GET", "/users/me/"), true).unwrap();
    assert_eq!(live.await.unwrap().status(), 200);
    assert_eq!(post.await.unwrap().status(), 201);
    let mut me = me.await.unwrap();
    assert_eq!(me.status(), 200);
    let data = me.body_mut().data().await.unwrap().unwrap();
    assert!(data.windows(15).any(|part| part == b"ada@example.com"));
    connection.abort();
}
