//! Parses a JSON body. It accepts and rejects the same bodies as the reference service.
//!
//! Not here: JSON responses, see `json_response.rs`.

use serde_json::{Number, Value};

use super::json_value::{self, TOO_MANY_VALUES};

/// Maximum number of digits in an integer: the limit of Python.
pub(super) const MAX_DIGITS: usize = 4300;

/// The error message of `serde_json` at its limit of 128 levels.
const NESTED_TOO_DEEP: &str = "recursion limit exceeded";

/// Why a body is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) enum JsonError {
    /// The body is not UTF-8, is nested more than 128 levels deep, has too many values, or has an
    /// integer that is too long.
    Unreadable,
    /// The body is not valid JSON. `position` counts the characters before the error.
    Syntax { position: usize, message: String },
}

/// Returns the value of a JSON text. Floats have the notation of Python.
///
/// # Errors
/// [`JsonError`] if the text is no JSON, or exceeds a limit.
pub(in crate::api) fn parse_json(body: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(body).map_err(|_| JsonError::Unreadable)?;
    let with_bom = text;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Error positions include the byte order mark.
    let skipped = usize::from(with_bom.len() > text.len());
    let mut value = json_value::parse(text).map_err(|error| classify(text, skipped, &error))?;
    normalize_numbers(&mut value)?;
    Ok(value)
}

fn classify(text: &str, skipped: usize, error: &serde_json::Error) -> JsonError {
    let message = error.to_string();
    if [NESTED_TOO_DEEP, TOO_MANY_VALUES].iter().any(|limit| message.starts_with(limit)) {
        return JsonError::Unreadable;
    }
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    JsonError::Syntax { position: skipped + position(text, error), message }
}

/// Returns the number of characters before the error. `serde_json` gives the line, and the column in
/// bytes.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let before: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let end = text.len().min(before + error.column().saturating_sub(1));
    text.char_indices().take_while(|(start, _)| *start < end).count()
}

/// Rejects numbers that are out of range, and gives the others the notation of Python.
fn normalize_numbers(value: &mut Value) -> Result<(), JsonError> {
    match value {
        Value::Number(number) => {
            if let Some(normalized) = normalize_number(number.as_str())? {
                *number = normalized;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(normalize_numbers),
        Value::Object(fields) => fields.values_mut().try_for_each(normalize_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn normalize_number(text: &str) -> Result<Option<Number>, JsonError> {
    if is_integer(text) {
        if text.trim_start_matches('-').len() > MAX_DIGITS {
            return Err(JsonError::Unreadable);
        }
        return Ok((text == "-0").then(|| Number::from(0)));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(python_float(number).parse().ok()),
        _ => Err(JsonError::Syntax { position: 0, message: "number out of range".to_owned() }),
    }
}

/// Returns whether a JSON number has neither a point nor an exponent.
pub(super) fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// Formats a float like Python. Rust writes the same digits and uses an exponent for the same
/// numbers. But Python writes the exponent with a sign and at least two digits.
fn python_float(number: f64) -> String {
    let text = format!("{number:?}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}
