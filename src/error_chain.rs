//! Error texts for the log, with all causes. Clients never see them.

use std::error::Error;

/// Returns the error and its causes, joined by colons. The outermost error often says only what
/// failed, not why.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let errors = std::iter::successors(Some(error), |error| (*error).source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
}
