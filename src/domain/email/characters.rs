//! Classes of characters for the rules of both parts of an e-mail address.
//! Not here: classes for only one part, such as the letters of host names.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// Maximum number of characters that are read to check whether they combine with the first one. The
/// Stream-Safe Text Format of UAX 15 has at most 30 combining marks in a row. Without a bound, a
/// text of combining marks would take quadratic time.
const MAX_COMBINING_SEQUENCE: usize = 32;

/// A coarse grouping of Unicode's general categories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, numbers, punctuation, symbols.
    Visible,
    /// Combining marks.
    Mark,
    /// Spaces of any width.
    Space,
    /// Line separators, controls, format characters, private use, unassigned.
    Hidden,
}

pub(super) fn kind(character: char) -> Kind {
    use GeneralCategory as Category;
    match category(character) {
        Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark => Kind::Mark,
        Category::SpaceSeparator => Kind::Space,
        Category::LineSeparator
        | Category::ParagraphSeparator
        | Category::Control
        | Category::Format
        | Category::PrivateUse
        | Category::Surrogate
        | Category::Unassigned => Kind::Hidden,
        _ => Kind::Visible,
    }
}

pub(super) fn category(character: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(character)
}

/// Whether the character is Unicode white space or one of ASCII's four information separators.
pub(super) fn is_white_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1C}'..='\u{1F}')
}

/// Whether the character is a letter or number of any script. The standard library's
/// `is_alphabetic` also accepts many combining marks.
pub(super) fn is_letter_or_number(character: char) -> bool {
    GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number).contains(category(character))
}

/// Whether the character can be part of an atom (RFC 5322, 3.2.3).
pub(super) fn is_atom_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

/// Returns the text in Normalization Form C (UAX 15).
pub(super) fn compose(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Whether composition would replace the first character of the text: `<` before a combining
/// solidus becomes the sign "not less than".
pub(super) fn first_is_recomposed(text: &str) -> bool {
    let nearby = text.chars().take(MAX_COMBINING_SEQUENCE);
    ComposingNormalizerBorrowed::new_nfc().normalize_iter(nearby).next() != text.chars().next()
}
