//! HTTP/2 frames as bytes (RFC 9113), and header fields in HPACK (RFC 7541).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The connection preface of a client, without its SETTINGS frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    Reset = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
    Unknown = 0xfe,
}

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    #[expect(clippy::as_conversions, reason = "the discriminant is the type on the wire")]
    let mut frame = vec![length[1], length[2], length[3], kind as u8, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns the pseudo-header fields of a request. The method must be in the static table.
pub fn request_fields(method: &str, path: &str) -> Vec<u8> {
    let method = match method {
        "GET" => 0x82,
        "POST" => 0x83,
        _ => panic!("the static table lacks {method}"),
    };
    let mut fields = vec![method, 0x86];
    fields.extend([0x01]);
    fields.extend(text("a"));
    fields.extend([0x04]);
    fields.extend(text(path));
    fields
}

/// Returns a literal field without indexing.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// Returns a literal field with incremental indexing: it becomes the newest of the dynamic table.
pub fn indexed_field(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// The newest field of the dynamic table, as an indexed field of one byte.
pub const NEWEST_INDEXED_FIELD: u8 = 0b1011_1110;

fn text(text: &str) -> Vec<u8> {
    [number(text.len()), text.as_bytes().to_vec()].concat()
}

/// Sends the bytes on a new connection and returns the status of the first response. `None` if the
/// server resets the stream or the connection.
pub fn first_status(address: SocketAddr, sent: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(sent).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).ok()?;
        match head[3] {
            // A status comes first, as an entry of the static table.
            1 => {
                return [(0x88, 200), (0x8c, 400), (0x8d, 404), (0x8e, 500)]
                    .into_iter()
                    .find_map(|(entry, status)| (payload[0] == entry).then_some(status));
            }
            // RST_STREAM and GOAWAY.
            3 | 7 => return None,
            _ => {}
        }
    }
}

/// Encodes an integer with a prefix of seven bits; the eighth is unset.
fn number(number: usize) -> Vec<u8> {
    let Some(mut rest) = number.checked_sub(127) else {
        return vec![u8::try_from(number).unwrap()];
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}
