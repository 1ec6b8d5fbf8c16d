//! JSON in and out. In: the text of a body becomes a value, with the reference's verdicts on
//! what cannot be one. Out: compact UTF-8.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Number, Value};

use super::value::{self, TOO_MANY_PARTS};

/// Digits of the longest integer that is read; Python's own bound.
pub(super) const MAXIMUM_DIGITS: usize = 4300;

/// What the library says at its bound of 128 levels.
const NESTED_TOO_DEEP: &str = "recursion limit exceeded";

/// Why a text is not a JSON value that can be worked with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonError {
    /// Not UTF-8, nested too deep (128 levels), of too many parts, or with an integer that is too
    /// long.
    Unreadable,
    /// Not JSON, at this character of the body.
    Syntax { position: usize, message: String },
}

/// The value of a JSON text; floats are written as Python writes them.
pub(super) fn parse(body: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(body).map_err(|_| JsonError::Unreadable)?;
    let marked = text;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The mark is a character of the body like any other.
    let skipped = usize::from(marked.len() > text.len());
    let mut value = value::read(text).map_err(|error| classify(text, skipped, &error))?;
    tidy_numbers(&mut value)?;
    Ok(value)
}

/// A value as the body of an answer.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &self.0)
    }
}

/// A response with the value as its body.
pub(super) fn json_response(status: StatusCode, value: &impl Serialize) -> Response {
    json_response_of(0, status, value)
}

/// The same for a value whose texts have so many bytes, as far as that is known.
pub(super) fn json_response_of(
    bytes: usize,
    status: StatusCode,
    value: &impl Serialize,
) -> Response {
    json_response_with(status, json_of(bytes, value))
}

/// The JSON of a value whose texts have so many bytes.
pub(super) fn json_of(bytes: usize, value: &impl Serialize) -> Bytes {
    // With the names and numbers around them.
    let mut json = Vec::with_capacity(bytes + bytes / 4 + 128);
    // Values of ours always serialize: no map has keys other than strings.
    if serde_json::to_writer(&mut json, value).is_err() {
        json.clear();
    }
    json.into()
}

/// A response with such a JSON as its body.
pub(super) fn json_response_with(status: StatusCode, json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn classify(text: &str, skipped: usize, error: &serde_json::Error) -> JsonError {
    let message = error.to_string();
    if [NESTED_TOO_DEEP, TOO_MANY_PARTS].iter().any(|refusal| message.starts_with(refusal)) {
        return JsonError::Unreadable;
    }
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    JsonError::Syntax { position: skipped + position(text, error), message }
}

/// The characters before the error: the library counts lines, and bytes in a line.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let before: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let end = text.len().min(before + error.column().saturating_sub(1));
    text.char_indices().take_while(|(start, _)| *start < end).count()
}

/// Refuses numbers without a value, and writes the others as Python would repeat them.
fn tidy_numbers(value: &mut Value) -> Result<(), JsonError> {
    match value {
        Value::Number(number) => {
            if let Some(tidy) = tidy_number(number.as_str())? {
                *number = tidy;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(tidy_numbers),
        Value::Object(fields) => fields.values_mut().try_for_each(tidy_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn tidy_number(text: &str) -> Result<Option<Number>, JsonError> {
    if is_integer(text) {
        if text.trim_start_matches('-').len() > MAXIMUM_DIGITS {
            return Err(JsonError::Unreadable);
        }
        return Ok((text == "-0").then(|| Number::from(0)));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(python_float(number).parse().ok()),
        _ => Err(JsonError::Syntax { position: 0, message: "number out of range".to_owned() }),
    }
}

/// Whether the text of a JSON number has neither point nor exponent.
pub(super) fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// Rust and Python agree on the shortest digits and on when to use an exponent, but for its sign
/// and its two digits.
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
