//! Texts of posts in JSON responses. `serde_json` looks at their bytes one by one. If a post has 2 KB,
//! a read takes a fourth more instructions that way. Here a processor compares many bytes at once.
//!
//! Not here: short texts, such as names, which `serde_json` writes.

use std::io::{self, Write};

use serde::Serializer;
use serde_json::ser::{CharEscape, Formatter};

use crate::domain::text::Text;

/// Bytes that are compared at once.
const CHUNK: usize = 32;

/// Writes compact JSON as `serde_json` does. Bytes are texts in UTF-8, see [`serialize_text`].
pub(super) struct TextFormatter;

/// Passes the text to [`TextFormatter`], as bytes. No other formatter may get it.
pub(super) fn serialize_text<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(text.as_str().as_bytes())
}

impl Formatter for TextFormatter {
    fn write_byte_array<W: ?Sized + Write>(&mut self, json: &mut W, text: &[u8]) -> io::Result<()> {
        let (chunks, rest) = text.as_chunks::<CHUNK>();
        json.write_all(b"\"")?;
        for chunk in chunks {
            // Without an early return, the compiler needs a few instructions for the whole chunk.
            if chunk.iter().fold(false, |any, byte| any | is_escaped(*byte)) {
                self.write_escaped(json, chunk)?;
            } else {
                json.write_all(chunk)?;
            }
        }
        self.write_escaped(json, rest)?;
        json.write_all(b"\"")
    }
}

impl TextFormatter {
    fn write_escaped<W: ?Sized + Write>(&mut self, json: &mut W, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.split_inclusive(|byte| is_escaped(*byte)) {
            match part.split_last() {
                Some((last, before)) if is_escaped(*last) => {
                    json.write_all(before)?;
                    self.write_char_escape(json, escape(*last))?;
                }
                _ => json.write_all(part)?,
            }
        }
        Ok(())
    }
}

/// Whether JSON has an escape for the byte (RFC 8259, 7).
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn escape(byte: u8) -> CharEscape {
    match byte {
        b'"' => CharEscape::Quote,
        b'\\' => CharEscape::ReverseSolidus,
        b'\n' => CharEscape::LineFeed,
        b'\r' => CharEscape::CarriageReturn,
        b'\t' => CharEscape::Tab,
        0x08 => CharEscape::Backspace,
        0x0c => CharEscape::FormFeed,
        control => CharEscape::AsciiControl(control),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fn json(text: &str) -> String {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, TextFormatter);
        serialize_text(&Text::from_stored(text), &mut serializer).unwrap();
        String::from_utf8(json).unwrap()
    }

    fn serde_json(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    #[test]
    fn every_character_is_written_as_serde_json_writes_it() {
        // A text has no NUL.
        let characters = '\u{1}'..='\u{2ff}';
        for character in characters.chain(['\u{2028}', '\u{ffff}', '\u{10ffff}']) {
            for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
                let text = format!("{0}{character}{0}", "a".repeat(length));
                assert_eq!(json(&text), serde_json(&text), "{character:?} after {length}");
            }
        }
    }

    #[test]
    fn text_of_any_length_is_written_whole() {
        for length in 0..=3 * CHUNK {
            let (plain, escaped) = ("é".repeat(length), "\n\"".repeat(length));
            for text in [&plain, &escaped] {
                assert_eq!(json(text), serde_json(text), "{length}");
            }
        }
    }

    #[test]
    fn other_values_are_written_as_serde_json_writes_them() {
        let value = serde_json::json!({"a": [1, -2.5, null, true], "b": {"c": "\n"}, "d": []});
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, TextFormatter);
        value.serialize(&mut serializer).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), value.to_string());
    }
}
