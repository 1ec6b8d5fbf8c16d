//! Single labels of a domain name under IDNA 2008: the permitted code points and contexts of
//! RFC 5892, the Bidi Rule of RFC 5893, and the two forms of RFC 5890. The labels are already
//! mapped. Not here: that mapping, see `domain_name.rs`.
//!
//! The crate `idna` implements UTS 46. It covers the Bidi Rule, the joiners and Punycode, but is
//! laxer: it accepts symbols, for instance. This file adds the stricter rules.

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, HangulSyllableType, Script};
use idna::punycode;
use idna::uts46::{AsciiDenyList, Hyphens, Uts46};

use super::characters::category;
use super::invalid_email::InvalidEmail;

/// Maximum length of a label (RFC 1035, 2.3.1).
pub(super) const MAX_LABEL_BYTES: usize = 63;

const ASCII_PREFIX: &str = "xn--";

/// Returns the name with each label that is not ASCII as an A-label.
pub(super) fn ascii_form(name: &str) -> Result<String, InvalidEmail> {
    // Later checks give ASCII names clearer reasons.
    if name.is_ascii() {
        return Ok(name.to_owned());
    }
    let labels: Option<Vec<String>> = name.split('.').map(to_ascii).collect();
    labels.map(|labels| labels.join(".")).ok_or_else(invalid_idna)
}

/// Returns the name with each A-label as a U-label.
pub(super) fn unicode_form(name: &str) -> Result<String, InvalidEmail> {
    let labels: Option<Vec<String>> = name.split('.').map(to_unicode).collect();
    labels.map(|labels| labels.join(".")).ok_or_else(invalid_idna)
}

/// Whether the label has hyphens in the third and fourth position, which RFC 5890, 2.3.1 reserves
/// for future prefixes.
pub(super) fn is_reserved(label: &str) -> bool {
    let mut characters = label.chars();
    let start = (characters.next(), characters.next());
    start != (Some('x'), Some('n')) && characters.as_str().starts_with("--")
}

/// Returns the same reason for every rule of IDNA: the details help only experts of the standard.
pub(super) fn invalid_idna() -> InvalidEmail {
    "The part after the @-sign is not valid IDNA.".into()
}

fn to_ascii(label: &str) -> Option<String> {
    let unicode = to_unicode(label)?;
    let ascii = if unicode.is_ascii() {
        unicode
    } else {
        format!("{ASCII_PREFIX}{}", punycode::encode_str(&unicode)?)
    };
    (ascii.len() <= MAX_LABEL_BYTES).then_some(ascii)
}

fn to_unicode(label: &str) -> Option<String> {
    // The encoded form would be at least as long, and Punycode takes quadratic time.
    if label.chars().count() > MAX_LABEL_BYTES {
        return None;
    }
    let (unicode, outcome) =
        Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    outcome.ok()?;
    if let Some(encoded) = label.strip_prefix(ASCII_PREFIX) {
        // RFC 5891, 5.3: only one spelling of a name is valid.
        if punycode::encode_str(&unicode)? != encoded {
            return None;
        }
    }
    is_permitted(&unicode).then(|| unicode.into_owned())
}

fn is_permitted(label: &str) -> bool {
    let mut before = None;
    let mut rest = label.chars();
    while let Some(character) = rest.next() {
        let after = rest.clone().next();
        let permitted = by_exception(character)
            .or_else(|| by_context(character, before, after, label))
            .unwrap_or_else(|| is_letter_or_digit(character) && !is_for_symbols(character));
        if !permitted {
            return false;
        }
        before = Some(character);
    }
    true
}

/// Decides on the characters that RFC 5892 lists one by one, in section 2.6 and as class LDH.
/// Returns `None` for all others.
fn by_exception(character: char) -> Option<bool> {
    match character {
        'a'..='z'
        | '0'..='9'
        | '-'
        | '\u{DF}'
        | '\u{3C2}'
        | '\u{6FD}'
        | '\u{6FE}'
        | '\u{F0B}'
        | '\u{3007}' => Some(true),
        '\u{640}' | '\u{7FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => {
            Some(false)
        }
        _ => None,
    }
}

/// Decides on the characters with a rule in RFC 5892, appendix A, and returns `None` for all
/// others. UTS 46 has the same rule for the joiners and has already applied it.
fn by_context(
    character: char,
    before: Option<char>,
    after: Option<char>,
    label: &str,
) -> Option<bool> {
    match character {
        '\u{200C}' | '\u{200D}' => Some(true),
        '\u{B7}' => Some((before, after) == (Some('l'), Some('l'))),
        '\u{375}' => Some(after.is_some_and(|next| script(next) == Script::Greek)),
        '\u{5F3}' | '\u{5F4}' => Some(before.is_some_and(|last| script(last) == Script::Hebrew)),
        '\u{30FB}' => Some(label.chars().any(is_japanese)),
        '\u{660}'..='\u{669}' => {
            Some(!label.contains(|other| matches!(other, '\u{6F0}'..='\u{6F9}')))
        }
        '\u{6F0}'..='\u{6F9}' => {
            Some(!label.contains(|other| matches!(other, '\u{660}'..='\u{669}')))
        }
        _ => None,
    }
}

fn script(character: char) -> Script {
    CodePointMapData::<Script>::new().get(character)
}

fn is_japanese(character: char) -> bool {
    matches!(script(character), Script::Hiragana | Script::Katakana | Script::Han)
}

/// Applies RFC 5892, 2.1, without the conjoining jamo of old Hangul (2.9). The mapping has already
/// removed characters that are unstable under case folding and compatibility composition (2.2).
fn is_letter_or_digit(character: char) -> bool {
    let syllable = CodePointMapData::<HangulSyllableType>::new().get(character);
    let is_old_jamo = matches!(
        syllable,
        HangulSyllableType::LeadingJamo
            | HangulSyllableType::VowelJamo
            | HangulSyllableType::TrailingJamo
    );
    let has_category = matches!(
        category(character),
        GeneralCategory::LowercaseLetter
            | GeneralCategory::UppercaseLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::ModifierLetter
            | GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
    );
    has_category && !is_old_jamo
}

/// Whether the character is in a block for symbols or musical notation (RFC 5892, 2.4).
fn is_for_symbols(character: char) -> bool {
    matches!(
        character,
        '\u{20D0}'..='\u{20FF}' | '\u{1D100}'..='\u{1D1FF}' | '\u{1D200}'..='\u{1D24F}'
    )
}
