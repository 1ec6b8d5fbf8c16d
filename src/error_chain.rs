//! Error texts for the log, with all causes. Clients never see them.

use std::error::Error;

/// Maximum number of bytes of a text. Some errors repeat what a server sent: an invalid certificate
/// can have thousands of names.
const MAX_BYTES: usize = 2000;

/// Returns the error and its causes, joined by colons. The outermost error often says only what
/// failed, not why. After 2,000 bytes the text ends with an ellipsis.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| (*error).source());
    let mut text = errors.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if text.len() > MAX_BYTES {
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn error_is_followed_by_its_causes() {
        let deepest = Layer("permission denied", None);
        let error = Layer(
            "an event was lost",
            Some(Box::new(Layer("a query failed", Some(deepest.into())))),
        );
        assert_eq!(error_chain(&error), "an event was lost: a query failed: permission denied");
    }

    #[test]
    fn text_over_2000_bytes_ends_with_an_ellipsis() {
        for (text, whole) in [("é".repeat(1000), true), ("é".repeat(30_000), false)] {
            let text = text.leak();
            let error = Layer("not connected", Some(Box::new(Layer(text, None))));
            let chain = error_chain(&error);
            assert!(chain.starts_with("not connected: éé"), "{chain}");
            assert!(chain.len() <= MAX_BYTES + '…'.len_utf8() && chain.ends_with('…'), "{chain}");
            assert_eq!(error_chain(&Layer(text, None)).ends_with('…'), !whole);
        }
    }
}
