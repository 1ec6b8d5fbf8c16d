//! Request smuggling: the service rejects ambiguous framing and invalid bytes, and closes the
//! connection, so that no hidden request follows.

use std::time::Duration;

use axum::http::Request;
use serde_json::json;

use crate::support::{
    AMBIGUOUS_FRAMING, INVALID_CHUNKS, LENGTH_AND_ENCODING, PASSWORD, TestApp, TestServer, limits,
};

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// The request that an attacker tries to smuggle.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";

async fn serve() -> (TestApp, TestServer) {
    let app = TestApp::start().await;
    // Connections that the service does not close at once must still end during the test.
    let limits = limits(|timeouts| timeouts.head = Duration::from_secs(5));
    let server = TestServer::start(app.routes(), limits);
    (app, server)
}

/// Sends the bytes, and returns the statuses of all responses until the service closes the
/// connection.
fn outcome(server: &TestServer, bytes: &[u8]) -> Vec<u16> {
    let mut wire = server.connect();
    // The service may close the connection before it has read everything.
    let _ = wire.try_send(bytes);
    let output = wire.rest();
    let responses = output.split("HTTP/1.1 ").skip(1);
    responses.map(|response| response.get(..3).unwrap_or_default().parse().unwrap_or(0)).collect()
}

#[tokio::test]
async fn ambiguous_framing_is_rejected_with_all_that_follows() {
    let (_app, server) = serve().await;
    for framing in AMBIGUOUS_FRAMING {
        let bytes = format!("POST /login HTTP/1.1\r\nhost: a\r\n{framing}{HIDDEN}");
        let statuses = outcome(&server, bytes.as_bytes());
        assert_eq!(statuses, [400], "{framing:?}");
    }
    assert_eq!(outcome(&server, LIVEZ), [200]);
}

/// RFC 9112, 6.1: with both, the encoding counts, and the connection must close after the response.
#[tokio::test]
async fn content_length_with_transfer_encoding_is_rejected() {
    let (_app, server) = serve().await;
    for framing in LENGTH_AND_ENCODING {
        let bytes = format!("POST /login HTTP/1.1\r\nhost: a\r\n{framing}{HIDDEN}");
        let statuses = outcome(&server, bytes.as_bytes());
        assert_eq!(statuses.len(), 1, "{framing:?}: {statuses:?}");
        assert!((400..500).contains(&statuses[0]), "{framing:?}: {statuses:?}");
    }
}

/// In HTTP/2 the frames define the end of a body. A request with another `content-length` is
/// malformed (RFC 9113, 8.1.1), and must have no effect: a proxy that translates it to HTTP/1.1
/// would use that length.
#[tokio::test]
async fn http_2_content_length_that_differs_from_the_frames_is_rejected() {
    let (app, server) = serve().await;
    for (difference, is_done) in [(-1, false), (1, false), (-40, false), (4096, false), (0, true)] {
        let name = format!("user{}", difference + 100);
        let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let body = account.to_string();
        let length = i64::try_from(body.len()).unwrap() + difference;
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://localhost/users")
            .header("content-type", "application/json")
            .header("content-length", length)
            .body(())
            .unwrap();
        let (response, mut frames) = client.send_request(request, false).unwrap();
        let (first, second) = body.split_at(20);
        // The service may have reset the stream before the last frame.
        for (piece, is_last) in [(first, false), (second, true)] {
            let _ = frames.send_data(piece.to_owned().into(), is_last);
        }
        match response.await {
            Ok(response) => assert_eq!(response.status(), if is_done { 201 } else { 400 }),
            Err(error) => assert!(!is_done && error.is_reset(), "{difference}: {error}"),
        }
        let login = app.log_in(&format!("{name}@example.com"), PASSWORD).await;
        assert_eq!(login.status, if is_done { 200 } else { 403 }, "{difference}");
    }
}

#[tokio::test]
async fn invalid_chunks_are_rejected() {
    let (_app, server) = serve().await;
    for chunk in INVALID_CHUNKS {
        let bytes = format!(
            "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n{chunk}{HIDDEN}"
        );
        let statuses = outcome(&server, bytes.as_bytes());
        assert!(statuses.is_empty() || statuses == [400], "{chunk:?}: {statuses:?}");
    }
    assert_eq!(outcome(&server, LIVEZ), [200]);
}

#[tokio::test]
async fn invalid_request_bytes_are_rejected() {
    let (_app, server) = serve().await;
    let garbage: [&[u8]; 10] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd\xfc\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/3.0\r\nhost: a\r\n\r\n",
        b"GET /liv ez HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for bytes in garbage {
        let statuses = outcome(&server, bytes);
        let text = String::from_utf8_lossy(bytes);
        assert!(statuses.is_empty() || statuses == [400], "{text:?}: {statuses:?}");
    }
    assert_eq!(outcome(&server, LIVEZ), [200]);
}
