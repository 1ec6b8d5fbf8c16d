//! Text that every store can keep, without NUL.

use std::sync::Arc;

/// Any Unicode text without NUL, which PostgreSQL cannot store. The text stays exactly as given.
/// Clones share its bytes, because several responses may contain the same post.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text(Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text must not contain a NUL character")]
pub struct ContainsNul;

impl Text {
    /// Accepts any text without NUL.
    ///
    /// # Errors
    /// [`ContainsNul`] if the text contains NUL.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, ContainsNul> {
        let text = text.into();
        if text.contains('\0') {
            return Err(ContainsNul);
        }
        Ok(Self(text))
    }

    /// Returns a text that a store has read. It is not checked again.
    #[must_use]
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
