//! Frames of HTTP/2, as bytes (RFC 9113), and header fields as HPACK has them (RFC 7541).

/// What a client begins with, its settings not included.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    Reset = 3,
    Settings = 4,
    Ping = 6,
    WindowUpdate = 8,
    Continuation = 9,
    Unknown = 0xfe,
}

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    #[expect(clippy::as_conversions, reason = "the number that its name stands for")]
    let mut frame = vec![length[1], length[2], length[3], kind as u8, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The fields that every request begins with; the method is one that the table knows.
pub fn request_fields(method: &str, path: &str) -> Vec<u8> {
    let method = match method {
        "GET" => 0x82,
        "POST" => 0x83,
        _ => panic!("the table does not know {method}"),
    };
    let mut fields = vec![method, 0x86];
    fields.extend([0x01]);
    fields.extend(text("a"));
    fields.extend([0x04]);
    fields.extend(text(path));
    fields
}

/// A field that no table remembers.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A field that the receiver's table remembers, as the newest.
pub fn indexed_field(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// The newest field of the receiver's table, in one byte.
pub const NEWEST_INDEXED_FIELD: u8 = 0b1011_1110;

fn text(text: &str) -> Vec<u8> {
    [number(text.len()), text.as_bytes().to_vec()].concat()
}

/// With a prefix of seven bits, the eighth unset.
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
