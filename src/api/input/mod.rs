//! Turns path, query and body of a request into typed fields, or into the errors of all fields at
//! once. The errors have the texts of the reference service. A route declares its fields by
//! implementing [`FromRequestFields`].
//!
//! Not here: when a request is read, see `extract.rs`.

mod body;
mod coerce;
mod conditions;
mod form;
mod idempotency_key;
mod json;
mod json_value;
mod mask;
mod time;

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use crate::domain::policy::Policy;

pub use body::MAX_BODY_BYTES;
pub(super) use body::read_body;
pub(super) use coerce::{FieldError, JsonInteger};
pub(super) use coerce::{boolean, integer, integer_from_text, stored_text, text};
pub(super) use conditions::{ConditionHeaders, Conditions};
pub(super) use form::{MediaType, multipart, pairs};
pub(super) use idempotency_key::{Keyed, Repeatable};
pub(super) use json::{JsonError, parse_json};
use mask::{MASK, mask_all, mask_outside, names_secret, shorten};
pub(super) use time::time_from_text;

/// The typed input of a handler.
pub(super) trait FromRequestFields: Sized + Send {
    /// How the body is read, unless the policy changes it.
    const BODY: BodyKind;

    /// How the body of a request with these headers is read under this policy.
    #[must_use]
    fn body(_policy: &Policy, _headers: &HeaderMap) -> BodyKind {
        Self::BODY
    }

    /// Reads the fields. Returns `None` only after an error was recorded.
    fn read(request: &mut RequestFields<'_>) -> Option<Self>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// Not read.
    Ignored,
    Json,
    Form,
}

/// The fields of a request, not validated yet, and the errors found so far.
pub(super) struct RequestFields<'a> {
    pub(super) policy: &'a Policy,
    pub(super) headers: &'a HeaderMap,
    pub(super) path_parameter: Cow<'a, str>,
    /// In the order of the request.
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) errors: Vec<ValidationError>,
}

/// The body of a request.
pub(super) enum Body {
    Absent,
    Json(Value),
    /// A body of a type other than JSON; `None` if it is not UTF-8.
    Text(Option<String>),
    /// The fields in the order of the request.
    Form(Vec<(String, String)>),
}

/// A JSON object in a body.
pub(super) struct Object {
    fields: Map<String, Value>,
    secret: Option<&'static str>,
}

impl<'a> RequestFields<'a> {
    /// Returns the policy of the service.
    #[must_use]
    pub(super) fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// Returns the text of a header. `None` if the header is missing, repeated, or not UTF-8.
    #[must_use]
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        std::str::from_utf8(value.as_bytes()).ok()
    }

    /// Returns the value of a header that can be sent in any encoding: percent-encoded UTF-8
    /// (RFC 3986, 2.1), or UTF-8 as it is. A `%` that starts no escape stays.
    ///
    /// The outer `None` means an error: the header is repeated, or not UTF-8. The inner `None` means
    /// that the header is absent. Errors never echo the value.
    #[expect(clippy::option_option, reason = "an error and an absent header are two things")]
    pub(super) fn encoded_header(
        &mut self,
        name: &'static str,
        hint: &'static str,
    ) -> Option<Option<String>> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else {
            return Some(None);
        };
        let is_repeated = values.next().is_some();
        let decoded = percent_decode(value.as_bytes()).decode_utf8().ok();
        let text = decoded.filter(|_| !is_repeated).map(Cow::into_owned);
        let text = text.ok_or_else(|| FieldError::new("string_unicode", hint));
        self.record(["header", name], text, || Value::from(MASK)).map(Some)
    }

    /// Returns a required field of the body. If it is missing, or the body is no object, the error
    /// has this message: it names the other way to send the value.
    pub(super) fn alternative<T>(
        &mut self,
        name: &'static str,
        hint: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<T> {
        match std::mem::replace(&mut self.body, Body::Absent) {
            Body::Json(Value::Object(fields)) if fields.contains_key(name) => {
                self.required(&Object { fields, secret: Some(name) }, name, rule)
            }
            _ => {
                let missing = FieldError::new("missing", hint);
                self.record(["body", name], Err(missing), || Value::Null)
            }
        }
    }

    /// Returns the ID in the path.
    pub(super) fn path_integer(&mut self, name: &'static str) -> Option<JsonInteger> {
        let text = std::mem::take(&mut self.path_parameter);
        let parsed = integer_from_text(&text);
        self.record(["path", name], parsed, || Value::String(text.into_owned()))
    }

    /// Returns the text of a query parameter, not validated. If it is repeated, the last one counts.
    #[must_use]
    pub(super) fn query_text(&self, name: &str) -> Option<String> {
        last(&self.query, name)
    }

    /// Returns an optional query parameter. If it is repeated, the last one counts.
    ///
    /// The outer `None` means an error; the inner `None` means that the parameter is absent.
    #[expect(clippy::option_option, reason = "an error and an absent parameter are two things")]
    pub(super) fn query<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<Option<T>> {
        let Some(value) = last(&self.query, name) else {
            return Some(None);
        };
        self.record(["query", name], rule(&value), || Value::String(value)).map(Some)
    }

    /// Returns an optional query parameter with a list: values with commas between them, also if the
    /// parameter is repeated. The first invalid value is the error.
    ///
    /// The outer `None` means an error; the inner `None` means that the parameter is absent.
    #[expect(clippy::option_option, reason = "an error and an absent parameter are two things")]
    pub(super) fn query_list<T>(
        &mut self,
        name: &'static str,
        maximum: usize,
        rule: impl Fn(&str) -> Result<T, FieldError>,
    ) -> Option<Option<Vec<T>>> {
        let sent = self.query.iter().filter(|(other, _)| other == name);
        let sent: Vec<String> = sent.map(|(_, value)| value.clone()).collect();
        if sent.is_empty() {
            return Some(None);
        }
        let sent = sent.join(",");
        let mut list = Vec::new();
        for item in sent.split(',') {
            list.push(self.record(["query", name], rule(item), || Value::from(item))?);
        }
        let fits = if list.len() <= maximum { Ok(list) } else { Err(too_long(maximum)) };
        self.record(["query", name], fits, || Value::String(sent)).map(Some)
    }

    /// Records that a query parameter does not go with another one.
    pub(super) fn reject_query(&mut self, name: &'static str, reason: &str) {
        let error = FieldError::value_error(format!("Value error, {reason}"), reason);
        let value = last(&self.query, name).unwrap_or_default();
        self.record::<()>(["query", name], Err(error), || Value::String(value));
    }

    /// Returns the body as an object. Errors never echo the value of the field `secret`.
    pub(super) fn object(&mut self, secret: Option<&'static str>) -> Option<Object> {
        let (error, input) = match std::mem::replace(&mut self.body, Body::Absent) {
            Body::Json(Value::Object(fields)) => return Some(Object { fields, secret }),
            Body::Absent | Body::Json(Value::Null) => (missing(), Value::Null),
            Body::Json(other) => (not_an_object(), mask_outside(other, secret)),
            // The secret may be at any position of the text.
            Body::Text(Some(text)) if secret.is_some() || names_secret(&text) => {
                (not_an_object(), Value::from(MASK))
            }
            Body::Text(Some(text)) => (not_an_object(), Value::String(text)),
            Body::Text(None) => (not_unicode(), Value::Null),
            Body::Form(_) => (not_an_object(), Value::Null),
        };
        self.errors.push(ValidationError::new(vec!["body".into()], error, input));
        None
    }

    /// Returns a required field, checked by the rule.
    pub(super) fn required<T>(
        &mut self,
        object: &Object,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<T> {
        match object.fields.get(name) {
            Some(value) => self.record(["body", name], rule(value), || object.echo(name, value)),
            None => self.record(["body", name], Err(missing()), || object.echo_all()),
        }
    }

    /// Returns a field, or its default if it is absent. Null is an error.
    pub(super) fn defaulted<T>(
        &mut self,
        object: &Object,
        name: &'static str,
        default: T,
        rule: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<T> {
        match object.fields.get(name) {
            Some(value) => self.record(["body", name], rule(value), || object.echo(name, value)),
            None => Some(default),
        }
    }

    /// Returns a field, or `None` if it is absent. Null is an error.
    ///
    /// The outer `None` means an error.
    #[expect(clippy::option_option, reason = "an error and an absent field are two things")]
    pub(super) fn optional<T>(
        &mut self,
        object: &Object,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<Option<T>> {
        self.defaulted(object, name, None, |value| rule(value).map(Some))
    }

    /// Returns an optional form field.
    #[must_use]
    pub(super) fn form_text(&self, name: &str) -> Option<String> {
        self.form_value(name)
    }

    /// Returns a required form field. An empty value counts as absent (RFC 6749, 3.2).
    pub(super) fn form_field(&mut self, name: &'static str) -> Option<String> {
        let value = self.form_value(name).filter(|value| !value.is_empty());
        self.record(["body", name], value.ok_or_else(missing), || Value::Null)
    }

    /// Checks an optional form field by the rule.
    pub(super) fn optional_form_field(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&str) -> Result<(), FieldError>,
    ) -> Option<()> {
        let Some(value) = self.form_value(name) else {
            return Some(());
        };
        self.record(["body", name], rule(&value), || Value::String(value))
    }

    fn form_value(&self, name: &str) -> Option<String> {
        match &self.body {
            Body::Form(fields) => last(fields, name),
            _ => None,
        }
    }

    fn record<T>(
        &mut self,
        location: [&'static str; 2],
        outcome: Result<T, FieldError>,
        input: impl FnOnce() -> Value,
    ) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                let location = location.into_iter().map(Value::from).collect();
                self.errors.push(ValidationError::new(location, error, input()));
                None
            }
        }
    }
}

impl Object {
    /// Whether the object has a field of this name, of any value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn echo(&self, name: &str, value: &Value) -> Value {
        if self.secret == Some(name) || names_secret(name) {
            Value::from(MASK)
        } else {
            mask_all(value.clone())
        }
    }

    fn echo_all(&self) -> Value {
        mask_all(Value::Object(self.fields.clone()))
    }
}

/// The error of one field, as pydantic reports it. The echoed input is shortened.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationError {
    location: Vec<Value>,
    error: FieldError,
    input: Value,
}

impl ValidationError {
    pub(super) fn new(location: Vec<Value>, error: FieldError, input: Value) -> Self {
        Self { location, error, input: shorten(input) }
    }
}

impl Serialize for ValidationError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.error.kind)?;
        map.serialize_entry("loc", &self.location)?;
        map.serialize_entry("msg", &self.error.message)?;
        map.serialize_entry("input", &self.input)?;
        if let Some(context) = &self.error.context {
            map.serialize_entry("ctx", &BTreeMap::from([(context.0, &context.1)]))?;
        }
        map.end()
    }
}

/// Returns the error for a body that is not valid JSON at this character.
pub(super) fn invalid_json(position: usize, message: String) -> ValidationError {
    let error = FieldError::new("json_invalid", "JSON decode error").with("error", message);
    let location = vec![Value::from("body"), Value::from(position)];
    ValidationError::new(location, error, Value::Object(Map::new()))
}

/// Returns the error for a text with a character that the database cannot store.
pub(super) fn unrepresentable(location: &[&str]) -> ValidationError {
    const REASON: &str = "the encoding of the database lacks a character of the text";
    let error = FieldError::value_error(format!("Value error, {REASON}"), REASON);
    let location = location.iter().map(|part| Value::from(*part)).collect();
    ValidationError::new(location, error, Value::Null)
}

fn missing() -> FieldError {
    FieldError::new("missing", "Field required")
}

fn too_long(maximum: usize) -> FieldError {
    let message = format!("List should have at most {maximum} items after validation");
    FieldError::new("too_long", message).with("max_length", maximum)
}

fn not_an_object() -> FieldError {
    FieldError::new(
        "model_attributes_type",
        "Input should be a valid dictionary or object to extract fields from",
    )
}

fn not_unicode() -> FieldError {
    FieldError::new(
        "string_unicode",
        "Input should be a valid string, unable to parse raw data as a unicode string",
    )
}

fn last(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.clone())
}
