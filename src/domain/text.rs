//! Text that every store can keep.

/// Any Unicode text without NUL, kept exactly as it came: PostgreSQL cannot store NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text(String);

/// The text holds a NUL character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text must not contain a NUL character")]
pub struct HoldsNul;

impl Text {
    /// # Errors
    /// [`HoldsNul`] if there is one in it.
    pub fn parse(text: impl Into<String>) -> Result<Self, HoldsNul> {
        let text = text.into();
        if text.contains('\0') {
            return Err(HoldsNul);
        }
        Ok(Self(text))
    }

    /// A text that a store has kept before.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}
