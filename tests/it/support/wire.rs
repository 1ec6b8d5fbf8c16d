//! A raw HTTP/1.1 connection: the test sends every byte itself.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::{DocumentChecker, EVENTS, SentRequest, TestResponse};

/// The time for one read or write, on a machine that is busy with other tests.
const IO_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Wire {
    stream: BufReader<TcpStream>,
    /// The document that the responses must follow, and what was sent and is not answered.
    checked: Option<(Arc<DocumentChecker>, Vec<u8>)>,
}

impl Wire {
    pub fn connect(address: impl ToSocketAddrs) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub fn try_connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Wraps an existing connection.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), checked: None })
    }

    /// Holds requests and responses against the document.
    #[must_use]
    pub fn checked_by(mut self, checker: Option<Arc<DocumentChecker>>) -> Self {
        self.checked = checker.map(|checker| (checker, Vec::new()));
        self
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        if let Some((_, pending)) = &mut self.checked {
            pending.extend(bytes.as_ref());
        }
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Closes the sending half.
    pub fn finish(&mut self) {
        // The service may have closed the connection already.
        let _ = self.stream.get_mut().shutdown(Shutdown::Write);
    }

    /// Reads the next response.
    #[track_caller]
    pub fn read_response(&mut self) -> TestResponse {
        self.try_read_response().unwrap()
    }

    pub fn try_read_response(&mut self) -> io::Result<TestResponse> {
        let status = self.status()?;
        let headers = self.headers()?;
        let is_stream = headers.get("content-type").is_some_and(|kind| kind == EVENTS);
        let body = if is_stream {
            // A stream has no end.
            self.chunk()?
        } else if headers.contains_key("transfer-encoding") {
            self.chunks()?
        } else {
            let length = headers.get("content-length").map(|length| length.to_str().unwrap());
            self.bytes(length.map_or(0, |length| length.parse().unwrap()))?
        };
        let response = TestResponse { status, headers, body };
        self.check(&response);
        Ok(response)
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a body in chunks (RFC 9112, 7.1).
    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    /// Reads the next chunk of a body. The last one is empty.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut size = String::new();
        self.stream.read_line(&mut size)?;
        let length = usize::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
        let chunk = self.bytes(length)?;
        assert_eq!(self.bytes(2)?, b"\r\n");
        Ok(chunk)
    }

    /// Reads chunks of a stream until one contains the text.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        let mut read = String::new();
        while !read.contains(text) {
            let chunk = self.chunk().unwrap();
            assert!(!chunk.is_empty(), "the stream has ended: {read}");
            read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        read
    }

    fn check(&mut self, response: &TestResponse) {
        let Some((checker, pending)) = &mut self.checked else { return };
        match first_request(pending) {
            Some((request, length)) => {
                checker.check_response(&request, response);
                checker.check_request(&request, response);
                pending.drain(..length);
            }
            None => checker.check_unmatched_response(response),
        }
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> TestResponse {
        self.send(bytes);
        self.read_response()
    }

    /// Sends a request with a JSON body and reads its response.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> io::Result<TestResponse> {
        self.call_with(method, path, token, "", body)
    }

    /// Like [`Self::call`], with further header lines. Each ends with CRLF.
    pub fn call_with(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        headers: &str,
        body: Option<&Value>,
    ) -> io::Result<TestResponse> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let authorization = match token {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{authorization}{headers}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.try_send(text + &body)?;
        self.try_read_response()
    }

    /// Reads to the end of the connection. A reset counts as its end.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection stays open");
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn status(&mut self) -> io::Result<StatusCode> {
        let line = self.line()?;
        let code = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
        let code = code.and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        Ok(code.parse().unwrap_or_else(|_| panic!("no status line: {line:?}")))
    }

    fn headers(&mut self) -> io::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                assert_eq!(line, "", "expected a header field");
                return Ok(headers);
            };
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
        }
    }
}

/// Returns the first request and its length. `None` unless it is complete and has a plain framing.
fn first_request(sent: &[u8]) -> Option<(SentRequest, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(start)) = head.parse(sent) else { return None };
    let mut headers = HeaderMap::new();
    for field in head.headers.iter() {
        let name: HeaderName = field.name.parse().ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    if headers.contains_key("transfer-encoding") || headers.contains_key("expect") {
        return None;
    }
    let length = headers.get("content-length").map(|length| length.to_str().ok()?.parse().ok());
    let end = start + length.unwrap_or(Some(0))?;
    let body = sent.get(start..end)?.to_vec();
    let (method, uri) = (head.method?.parse().ok()?, head.path?.parse().ok()?);
    Some((SentRequest { method, uri, headers, body }, end))
}
