//! The parameter `include`, which adds fields to a response. Without it the response has the bytes of
//! the reference service.

use crate::api::input::{FieldError, RequestFields};

/// Reads the names of the parts to include. Returns `None` only after an error was recorded. A blank
/// value includes no part.
pub(super) fn read_include(
    request: &mut RequestFields<'_>,
    known: &[&'static str],
) -> Option<Vec<&'static str>> {
    let part = |text: &str| match known.iter().find(|name| **name == text) {
        Some(name) => Ok(Some(*name)),
        None if text.is_empty() => Ok(None),
        None => Err(unknown_part(known)),
    };
    let parts = request.query_list("include", usize::MAX, part)?.unwrap_or_default();
    Some(parts.into_iter().flatten().collect())
}

/// Returns the error of pydantic for a literal.
fn unknown_part(known: &[&str]) -> FieldError {
    let quoted: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
    let expected = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    FieldError::new("literal_error", format!("Input should be {expected}"))
        .with("expected", expected)
}
