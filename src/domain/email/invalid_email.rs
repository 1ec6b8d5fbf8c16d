//! The error for a rejected e-mail address. Its reason is a sentence for the person who typed the
//! e-mail address, and is part of the HTTP contract.
//! Not here: the sentences. Each is next to its rule.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The reason for which [`Email::parse`](super::Email::parse) rejects its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEmail {
    reason: Cow<'static, str>,
}

impl InvalidEmail {
    /// Returns one or more sentences in English. They may quote single characters of the input.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for InvalidEmail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl Error for InvalidEmail {}

impl From<&'static str> for InvalidEmail {
    fn from(reason: &'static str) -> Self {
        Self { reason: Cow::Borrowed(reason) }
    }
}

impl From<String> for InvalidEmail {
    fn from(reason: String) -> Self {
        Self { reason: Cow::Owned(reason) }
    }
}
