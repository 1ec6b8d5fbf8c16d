//! Texts as the databases store them. Another program may have stored any bytes.

use std::borrow::Cow;

/// Returns the text of these bytes. Those that are not UTF-8 become U+FFFD.
pub(super) fn readable_text(bytes: &[u8]) -> Cow<'_, str> {
    // `from_utf8_lossy` takes several times as long for a text that is UTF-8.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_readable() {
        assert!(matches!(readable_text("ä".as_bytes()), Cow::Borrowed("ä")));
        assert_eq!(readable_text(b"a\xffb"), "a\u{fffd}b");
    }
}
