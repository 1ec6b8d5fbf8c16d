//! Writes JSON in ASCII. JSON allows some control characters unescaped, such as U+009B. Clients can
//! put them into a path, and terminals interpret them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

pub(super) struct AsciiJson<W>(pub(super) W);

impl<W: Write> Write for AsciiJson<W> {
    /// Writes a whole line: the logger never splits one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(escape(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes DEL and all characters that are not ASCII. In JSON only strings contain them, and
/// strings may escape them (RFC 8259, 7).
fn escape(json: &str) -> Cow<'_, str> {
    const DELETE: char = '\x7f';
    let is_plain = |character: char| character.is_ascii() && character != DELETE;
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_plain(character) {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}
