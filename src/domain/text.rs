//! Text that every store can keep.

use std::sync::Arc;

/// Any Unicode text without NUL, kept exactly as it came: PostgreSQL cannot store NUL. Copies share
/// its bytes: several may be answered with the same post.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text(Arc<str>);

/// The text holds a NUL character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text must not contain a NUL character")]
pub struct ContainsNul;

impl Text {
    /// # Errors
    /// [`ContainsNul`] if there is one in it.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, ContainsNul> {
        let text = text.into();
        if text.contains('\0') {
            return Err(ContainsNul);
        }
        Ok(Self(text))
    }

    /// A text that a store has kept before.
    #[must_use]
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
