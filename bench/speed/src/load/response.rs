//! Parses an HTTP/1.1 response: its status, its body and where it ends.

use anyhow::{Context as _, Result, bail};

/// The most header fields of a response. The measured servers send about twelve.
const MAX_FIELDS: usize = 32;

pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) body: Body<'a>,
    /// Bytes of head and body together.
    pub(super) length: usize,
    /// Whether the server closes the connection after this response.
    pub(super) is_last: bool,
}

pub(super) enum Body<'a> {
    Sized(&'a [u8]),
    /// Still in the chunked coding (RFC 9112, section 7.1).
    Chunked(&'a [u8]),
}

/// Returns the response at the start of the bytes, or `None` if it is not complete yet.
pub(super) fn parse(received: &[u8]) -> Result<Option<Response<'_>>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_length) = head.parse(received)? else { return Ok(None) };
    let status = head.code.context("a response has no status")?;
    let (mut length, mut is_chunked, mut is_last) = (None, false, false);
    for field in head.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            length = Some(std::str::from_utf8(field.value)?.parse::<usize>()?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
        } else if field.name.eq_ignore_ascii_case("connection") {
            is_last = field.value.eq_ignore_ascii_case(b"close");
        }
    }
    let rest = received.get(head_length..).unwrap_or_default();
    let (body, body_length) = match length {
        Some(length) if !is_chunked => match rest.get(..length) {
            Some(body) => (Body::Sized(body), length),
            None => return Ok(None),
        },
        None if is_chunked => match chunked_length(rest)? {
            Some(length) => (Body::Chunked(rest.get(..length).unwrap_or_default()), length),
            None => return Ok(None),
        },
        None if status == 204 => (Body::Sized(&[]), 0),
        _ => bail!("a response has no length and is not chunked, or has both"),
    };
    Ok(Some(Response { status, body, length: head_length + body_length, is_last }))
}

impl Body<'_> {
    /// Returns the bytes of the body, without the chunked coding.
    pub(super) fn to_vec(&self) -> Result<Vec<u8>> {
        let mut rest = match self {
            Self::Sized(body) => return Ok(body.to_vec()),
            Self::Chunked(rest) => *rest,
        };
        let mut body = Vec::new();
        while let Some((start, size)) = parse_chunk(rest)? {
            body.extend_from_slice(rest.get(start..start + size).context("a chunk is cut off")?);
            rest = rest.get(start + size + 2..).context("a chunk is cut off")?;
            if size == 0 {
                return Ok(body);
            }
        }
        bail!("the last chunk is missing")
    }
}

/// Returns the bytes up to the end of the last chunk. The measured servers send no trailers.
fn chunked_length(received: &[u8]) -> Result<Option<usize>> {
    let mut length = 0;
    while let Some((start, size)) = parse_chunk(received.get(length..).unwrap_or_default())? {
        length += start + size + 2;
        if length > received.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// Returns where the data of the first chunk starts, and its size.
fn parse_chunk(received: &[u8]) -> Result<Option<(usize, usize)>> {
    match httparse::parse_chunk_size(received) {
        Ok(httparse::Status::Complete((start, size))) => Ok(Some((start, size.try_into()?))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => bail!("a chunk has an invalid size"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_with_content_length_ends_after_that_many_bytes() {
        let received = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        let response = parse(received).unwrap().unwrap();
        assert_eq!(
            (response.status, response.length, response.is_last),
            (201, received.len() - 8, false)
        );
        assert_eq!(response.body.to_vec().unwrap(), b"ok");
        for cut in 0..received.len() - 8 {
            assert!(parse(&received[..cut]).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn chunked_response_ends_with_its_last_chunk() {
        let received =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let response = parse(received).unwrap().unwrap();
        assert_eq!((response.length, response.is_last), (received.len(), true));
        assert_eq!(response.body.to_vec().unwrap(), b"abcde");
        for cut in 0..received.len() {
            assert!(parse(&received[..cut]).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn response_without_length_is_rejected() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\nsomething").is_err());
    }
}
