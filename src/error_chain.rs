//! Errors as the log has them. Clients see none of it.

use std::error::Error;

/// The error with what lies below it, for the log: what is on top says only that something failed.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let error_chain = std::iter::successors(Some(error), |error| (*error).source());
    error_chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn an_error_is_logged_with_what_lies_below_it() {
        let deepest = Layer("permission denied", None);
        let error = Layer(
            "an event was lost",
            Some(Box::new(Layer("a query failed", Some(deepest.into())))),
        );
        assert_eq!(error_chain(&error), "an event was lost: a query failed: permission denied");
    }
}
