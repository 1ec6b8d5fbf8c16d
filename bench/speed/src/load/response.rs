//! Where an answer on a connection ends, and what it says.

use anyhow::{Context as _, Result, bail};

/// Fields of a head that are looked at; the servers here send a dozen.
const FIELDS: usize = 32;

pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: Body<'a>,
    /// Bytes of all of it.
    pub(super) length: usize,
    /// The server ends the connection after it.
    pub(super) is_last: bool,
}

pub(super) enum Body<'a> {
    Whole(&'a [u8]),
    /// In chunks (RFC 9112, 7.1), as the server sent them.
    Chunked(&'a [u8]),
}

/// The answer at the start of what was received, if all of it is there.
pub(super) fn parse(received: &[u8]) -> Result<Option<Answer<'_>>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_length) = head.parse(received)? else { return Ok(None) };
    let status = head.code.context("an answer without a status")?;
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
            Some(body) => (Body::Whole(body), length),
            None => return Ok(None),
        },
        None if is_chunked => match chunked_length(rest)? {
            Some(length) => (Body::Chunked(rest.get(..length).unwrap_or_default()), length),
            None => return Ok(None),
        },
        None if status == 204 => (Body::Whole(&[]), 0),
        _ => bail!("an answer of which nobody knows where it ends"),
    };
    Ok(Some(Answer { status, body, length: head_length + body_length, is_last }))
}

impl Body<'_> {
    pub(super) fn to_vec(&self) -> Result<Vec<u8>> {
        let mut rest = match self {
            Self::Whole(body) => return Ok(body.to_vec()),
            Self::Chunked(rest) => *rest,
        };
        let mut body = Vec::new();
        while let Some((from, size)) = chunk(rest)? {
            body.extend_from_slice(rest.get(from..from + size).context("a chunk is cut")?);
            rest = rest.get(from + size + 2..).context("a chunk is cut")?;
            if size == 0 {
                return Ok(body);
            }
        }
        bail!("the last chunk is missing")
    }
}

/// Bytes up to the end of the last chunk. Nobody here sends trailers.
fn chunked_length(received: &[u8]) -> Result<Option<usize>> {
    let mut length = 0;
    while let Some((from, size)) = chunk(received.get(length..).unwrap_or_default())? {
        length += from + size + 2;
        if length > received.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// Where the data of the first chunk begins, and its size.
fn chunk(received: &[u8]) -> Result<Option<(usize, usize)>> {
    match httparse::parse_chunk_size(received) {
        Ok(httparse::Status::Complete((from, size))) => Ok(Some((from, size.try_into()?))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => bail!("no chunk"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let received = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        let answer = parse(received).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.length, answer.is_last),
            (201, received.len() - 8, false)
        );
        assert_eq!(answer.body.to_vec().unwrap(), b"ok");
        for cut in 0..received.len() - 8 {
            assert!(parse(&received[..cut]).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn a_chunked_answer_ends_with_its_last_chunk() {
        let received =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let answer = parse(received).unwrap().unwrap();
        assert_eq!((answer.length, answer.is_last), (received.len(), true));
        assert_eq!(answer.body.to_vec().unwrap(), b"abcde");
        for cut in 0..received.len() {
            assert!(parse(&received[..cut]).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\nsomething").is_err());
    }
}
