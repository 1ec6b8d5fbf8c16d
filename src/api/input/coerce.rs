//! Coerces single values to texts, booleans and integers by the lax rules of pydantic 2, with the
//! error texts of pydantic.
//!
//! Not here: the location of a value in the request, see `mod.rs`.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use super::json::{MAX_DIGITS, is_integer};
use crate::domain::text::Text;

/// Why one value is rejected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    pub kind: &'static str,
    pub message: String,
    /// The parameter of the message. Boxed to keep the type small: errors are rare, results are
    /// moved.
    pub context: Option<Box<(&'static str, Value)>>,
}

impl FieldError {
    /// Returns an error with the `type` and `msg` of pydantic.
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: None }
    }

    /// Adds the `ctx` of pydantic.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.context = Some(Box::new((name, value.into())));
        self
    }

    /// Returns the error for a value that breaks a rule of this service.
    #[must_use]
    pub(crate) fn value_error(message: String, reason: &str) -> Self {
        Self::new("value_error", message).with("reason", reason)
    }
}

/// Maximum number of digits that an error repeats.
const MAX_SHOWN_DIGITS: usize = 100;

/// An integer of any size, displayed in canonical decimal form. Beyond 100 digits the rest is `…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonInteger {
    canonical: String,
}

impl JsonInteger {
    /// Returns the value, if it fits into 64 bits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.canonical.parse().ok()
    }

    /// Returns the value as an ID. An integer that does not fit becomes 0, which is never an ID.
    #[must_use]
    pub fn as_id(&self) -> i64 {
        self.as_i64().unwrap_or(0)
    }

    /// Compares this integer of any size with a 64-bit integer.
    #[must_use]
    pub fn compare(&self, other: i64) -> Ordering {
        match self.as_i64() {
            Some(value) => value.cmp(&other),
            None if self.canonical.starts_with('-') => Ordering::Less,
            None => Ordering::Greater,
        }
    }

    fn new(negative: bool, digits: &str) -> Self {
        let digits = digits.trim_start_matches('0');
        let canonical = match (negative, digits) {
            (_, "") => "0".to_owned(),
            (true, digits) => format!("-{digits}"),
            (false, digits) => digits.to_owned(),
        };
        Self { canonical }
    }
}

impl From<i64> for JsonInteger {
    fn from(value: i64) -> Self {
        Self { canonical: value.to_string() }
    }
}

impl fmt::Display for JsonInteger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.canonical.get(..MAX_SHOWN_DIGITS) {
            Some(digits) if digits.len() < self.canonical.len() => write!(formatter, "{digits}…"),
            _ => formatter.write_str(&self.canonical),
        }
    }
}

/// Accepts a string.
///
/// # Errors
/// `string_type`.
pub(in crate::api) fn text(value: &Value) -> Result<&str, FieldError> {
    value.as_str().ok_or_else(|| FieldError::new("string_type", "Input should be a valid string"))
}

/// Accepts a text that every store can hold.
///
/// # Errors
/// `value_error` if the text contains a NUL character.
pub(in crate::api) fn stored_text(text: &str) -> Result<Text, FieldError> {
    Text::parse(text).map_err(|error| {
        let reason = error.to_string();
        FieldError::value_error(format!("Value error, {reason}"), &reason)
    })
}

/// Accepts `true`, 1, 1.0 and words like `yes` in any case, and the same forms of false.
///
/// # Errors
/// `bool_parsing` for other words and integers, `bool_type` for any other value.
pub(in crate::api) fn boolean(value: &Value) -> Result<bool, FieldError> {
    let parsed = match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::String(word) => boolean_word(word),
        Value::Number(_) => match integer(value).ok().and_then(|number| number.as_i64()) {
            Some(1) => Some(true),
            Some(0) => Some(false),
            Some(_) => None,
            None => return Err(boolean_type()),
        },
        _ => return Err(boolean_type()),
    };
    parsed.ok_or_else(|| {
        FieldError::new(
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
        )
    })
}

/// Accepts a JSON integer, a boolean, a float without a fraction, or a text with an integer.
///
/// # Errors
/// `int_type`, `int_parsing`, `int_parsing_size`, `int_from_float`.
pub(in crate::api) fn integer(value: &Value) -> Result<JsonInteger, FieldError> {
    match value {
        Value::Bool(flag) => Ok(JsonInteger::from(i64::from(*flag))),
        Value::Number(number) if is_integer(number.as_str()) => {
            let text = number.as_str();
            let digits = text.trim_start_matches('-');
            Ok(JsonInteger::new(text.starts_with('-'), digits))
        }
        Value::Number(number) => integer_from_float(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => integer_from_text(text),
        _ => Err(FieldError::new("int_type", "Input should be a valid integer")),
    }
}

/// Accepts an integer with white space around it, one sign, single `_` between digits, and a point with
/// zeros.
///
/// # Errors
/// `int_parsing`, `int_parsing_size`.
pub(in crate::api) fn integer_from_text(text: &str) -> Result<JsonInteger, FieldError> {
    let unparsable = || {
        FieldError::new(
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        )
    };
    if is_canonical(text) {
        return Ok(JsonInteger { canonical: text.to_owned() });
    }
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let whole = match unsigned.split_once('.') {
        None => unsigned,
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        Some(_) => return Err(unparsable()),
    };
    let groups_are_digits = whole.split('_').all(|group| !group.is_empty() && is_digits(group));
    if !groups_are_digits {
        return Err(unparsable());
    }
    let digits = whole.replace('_', "");
    let integer = JsonInteger::new(negative, &digits);
    if integer.canonical.trim_start_matches('-').len() > MAX_DIGITS {
        return Err(too_large());
    }
    Ok(integer)
}

/// Whether the text is a positive integer of few digits, as nearly every ID and limit is.
fn is_canonical(text: &str) -> bool {
    text.len() <= 19 && !text.starts_with('0') && !text.is_empty() && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer_from_float(number: f64) -> Result<JsonInteger, FieldError> {
    /// 2^63: the smallest float that is too large.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() != 0.0 {
        return Err(FieldError::new(
            "int_from_float",
            "Input should be a valid integer, got a number with a fractional part",
        ));
    }
    if number.abs() >= BOUND {
        return Err(too_large());
    }
    Ok(JsonInteger::new(number < 0.0, &format!("{:.0}", number.abs())))
}

fn too_large() -> FieldError {
    FieldError::new(
        "int_parsing_size",
        "Unable to parse input string as an integer, exceeded maximum size",
    )
}

fn boolean_word(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn boolean_type() -> FieldError {
    FieldError::new("bool_type", "Input should be a valid boolean")
}
