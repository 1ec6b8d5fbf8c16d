//! Lines of lists that people and programs read. Accounts and posts have any text: it must neither
//! break a line nor control the terminal.

use std::fmt::Write as _;

use anyhow::Context as _;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::Exit;

/// Returns the text for a field between tabs. Escapes `\\`, `\t`, `\n`, `\r`, and other characters
/// that are no content as `\u{HEX}`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            hidden if is_hidden(hidden) => {
                // Writing to a string never fails.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(hidden));
            }
            shown => escaped.push(shown),
        }
    }
    escaped
}

/// Returns the value as one line of JSON. Escapes the same characters as [`escape`].
pub(super) fn json_line(value: &impl Serialize) -> Result<String, Exit> {
    let json = serde_json::to_string(value).context("could not serialize a line")?;
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    Ok(line)
}

/// Returns the time in RFC 3339, with microseconds.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Whether the character is a control character, a format character, such as those that reorder
/// text, or a separator of lines or paragraphs.
fn is_hidden(character: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(character),
        Control | Format | LineSeparator | ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\tb\nc\rd\\e\0\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2028}\u{e0041}é\u{1f600}\"";

    #[test]
    fn escaped_text_neither_breaks_a_line_nor_controls_a_terminal() {
        assert_eq!(
            escape(HOSTILE),
            r#"a\tb\nc\rd\\e\u{0}\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2028}\u{e0041}é😀""#
        );
    }

    #[test]
    fn json_line_has_the_same_text_without_hidden_characters() {
        let Ok(line) = json_line(&HOSTILE) else { panic!("no line") };
        let text = line.strip_suffix('\n').unwrap();
        assert!(!text.chars().any(is_hidden), "{text}");
        assert_eq!(serde_json::from_str::<String>(text).unwrap(), HOSTILE);
    }
}
