//! The name that an account shows to others.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::text::Text;

/// Maximum length of a name in characters (Unicode scalar values).
pub const MAX_NAME_LENGTH: usize = 64;

/// A name of 1 to [`MAX_NAME_LENGTH`] characters on one line. Several accounts can have the same.
/// Another program may have stored any other text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(Text);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("a name must not be empty")]
    Empty,
    #[error("a name must have at most {MAX_NAME_LENGTH} characters")]
    TooLong,
    #[error("a name must not contain control characters")]
    ControlCharacter,
    #[error("a name must have a visible character")]
    Invisible,
}

/// The part of a change of an account that is about its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameChange {
    Keep,
    /// `None` removes the name.
    Replace(Option<DisplayName>),
}

impl DisplayName {
    /// Removes white space at both ends and accepts the rest.
    ///
    /// # Errors
    /// The first [`InvalidName`] that applies.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.chars().count() > MAX_NAME_LENGTH {
            return Err(InvalidName::TooLong);
        }
        if text.chars().any(is_control) {
            return Err(InvalidName::ControlCharacter);
        }
        if !text.chars().any(is_visible) {
            return Err(InvalidName::Invisible);
        }
        Text::parse(text).map(Self).map_err(|_| InvalidName::ControlCharacter)
    }

    /// Returns a name that a store has read. It is not checked again.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(Text::from_stored(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether the character controls the layout of the text around it: the control characters of
/// Unicode, the two separators of lines and paragraphs, the annotations, and the embeddings,
/// overrides and isolates of the bidirectional algorithm (UAX #9), which also reorder the text after
/// the name. The marks for one direction stay allowed, because Arabic and Hebrew names use them.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}')
}

/// Whether the character shows something by itself. Marks need a letter, and what Unicode lets a
/// reader ignore is empty. U+2800 is an empty pattern of Braille.
fn is_visible(character: char) -> bool {
    use GeneralCategoryGroup as Group;
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let is_shown = [Group::Letter, Group::Number, Group::Punctuation, Group::Symbol];
    character != '\u{2800}'
        && is_shown.into_iter().any(|group| group.contains(category))
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_accepted_without_the_white_space_around_it() {
        for (text, name) in [
            ("Ada", "Ada"),
            ("  Ada  Lovelace\u{3000}\n", "Ada  Lovelace"),
            ("\u{5d0}\u{200f}", "\u{5d0}\u{200f}"),
            ("\u{1f469}\u{200d}\u{1f52c}", "\u{1f469}\u{200d}\u{1f52c}"),
            ("x", "x"),
        ] {
            assert_eq!(DisplayName::parse(text).unwrap().as_str(), name, "{text:?}");
        }
        let longest = "\u{1d538}".repeat(MAX_NAME_LENGTH);
        assert_eq!(DisplayName::parse(&format!(" {longest} ")).unwrap().as_str(), longest);
    }

    #[test]
    fn text_that_is_no_name_is_rejected() {
        for (text, error) in [
            ("", InvalidName::Empty),
            (" \t\u{a0}", InvalidName::Empty),
            (&*"\u{e4}".repeat(MAX_NAME_LENGTH + 1), InvalidName::TooLong),
            ("a\0b", InvalidName::ControlCharacter),
            ("a\nb", InvalidName::ControlCharacter),
            ("a\u{7f}b", InvalidName::ControlCharacter),
            ("a\u{85}b", InvalidName::ControlCharacter),
            ("a\u{2028}b", InvalidName::ControlCharacter),
            ("a\u{202e}b", InvalidName::ControlCharacter),
            ("a\u{2067}b", InvalidName::ControlCharacter),
            ("a\u{fff9}b", InvalidName::ControlCharacter),
            ("\u{200b}\u{2060}", InvalidName::Invisible),
            ("\u{3164}", InvalidName::Invisible),
            ("\u{2800}", InvalidName::Invisible),
            ("\u{301}", InvalidName::Invisible),
            ("\u{e000}\u{ffff}", InvalidName::Invisible),
        ] {
            assert_eq!(DisplayName::parse(text), Err(error), "{text:?}");
        }
    }
}
