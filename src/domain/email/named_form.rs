//! The form with a name, `Ann <ann@example.com>`, as mail programs copy it to the clipboard. Only
//! the well-formed case is recognized. Any other text is returned unchanged.
//! Not here: rejections, see `split.rs`.

use super::characters::{is_atom_character, is_letter_or_number, is_white_space};

/// Returns the text between the angle brackets of a named form, or the whole text if it is not a
/// named form. Removes white space around the result.
pub(super) fn address_in(text: &str) -> &str {
    let text = text.trim_matches(is_white_space);
    bracketed(text).map_or(text, |address| address.trim_matches(is_white_space))
}

fn bracketed(text: &str) -> Option<&str> {
    let opened = text.strip_suffix('>')?;
    if let Some(after_quote) = opened.strip_prefix('"') {
        return after_quoted_name(after_quote);
    }
    opened
        .trim_start_matches(|character| is_name_character(character) || is_white_space(character))
        .strip_prefix('<')
        .filter(|address| is_one_line(address))
}

/// Returns the text after a quoted name. The name may contain quotes and angle brackets, so it ends
/// at the last quote before an angle bracket.
fn after_quoted_name(text: &str) -> Option<&str> {
    text.rmatch_indices('"').find_map(|(position, _)| {
        let (name, quote_and_rest) = text.split_at_checked(position)?;
        let address = quote_and_rest
            .strip_prefix('"')?
            .trim_start_matches(is_white_space)
            .strip_prefix('<')?;
        (!name.is_empty() && is_one_line(address)).then_some(address)
    })
}

fn is_name_character(character: char) -> bool {
    is_atom_character(character) || is_letter_or_number(character)
}

fn is_one_line(address: &str) -> bool {
    !address.is_empty() && !address.contains('\n')
}
