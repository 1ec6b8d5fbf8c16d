//! Body framings that two HTTP parsers could read differently. Each follows the first lines of a
//! request and ends where an attacker hides a second request.

/// One parser may see a length or an encoding where the other sees none.
pub const AMBIGUOUS_FRAMING: [&str; 18] = [
    "content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
    "content-length: +5\r\n\r\n12345",
    "content-length: -1\r\n\r\n",
    "content-length: 0x5\r\n\r\n12345",
    "content-length: 5, 6\r\n\r\n12345",
    "content-length: 99999999999999999999\r\n\r\n",
    "content-length: \r\n\r\n",
    "transfer-encoding: identity\r\n\r\n",
    "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "content-length : 5\r\n\r\n12345",
    "x: y\r\n content-length: 5\r\n\r\n",
    "content-length: 5\u{0}\r\n\r\n12345",
    " content-length: 5\r\n\r\n12345",
    ": 5\r\n\r\n",
    "x\r\n\r\n",
    "x: a\rb: c\r\n\r\n",
];

/// A length and an encoding, of which only one can be right.
pub const LENGTH_AND_ENCODING: [&str; 3] = [
    "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 64\r\n\r\n0\r\n\r\n",
];

/// Invalid chunks, to follow the head of a chunked body.
pub const INVALID_CHUNKS: [&str; 8] = [
    "5\r\n12345",
    "z\r\n12345\r\n0\r\n\r\n",
    "-1\r\n12345\r\n0\r\n\r\n",
    "0x5\r\n12345\r\n0\r\n\r\n",
    "5\r\n1234567\r\n0\r\n\r\n",
    "fffffffffffffffff\r\n12345\r\n0\r\n\r\n",
    "5 5\r\n12345\r\n0\r\n\r\n",
    "\r\n0\r\n\r\n",
];
