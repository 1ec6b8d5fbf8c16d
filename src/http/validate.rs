//! Requests that do not fit: every fault of path, query and body at once, in the reference's
//! words. A resource says what it wants by an [`FromRequestFields`]; this room finds it, or the faults.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use super::coerce::{FieldError, JsonInteger, integer_from_text};
use crate::domain::email::Email;
use crate::domain::policy::Policy;

/// What a handler wants to be given: values that are known to fit.
pub trait FromRequestFields: Sized + Send {
    /// What the body is read as.
    const BODY: BodyKind;

    /// The same where the rules that the operator chose have a say.
    #[must_use]
    fn body(_policy: &Policy) -> BodyKind {
        Self::BODY
    }

    /// Takes what it wants. `None` only after a fault was noted.
    fn read(request: &mut RequestFields<'_>) -> Option<Self>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Not looked at.
    Ignored,
    Json,
    Form,
}

/// Stands wherever a secret would be repeated.
const MASK: &str = "**********";

/// A request, taken apart but not yet believed, and the faults found so far.
pub struct RequestFields<'a> {
    pub(super) policy: &'a Policy,
    pub(super) headers: &'a HeaderMap,
    pub(super) path_parameter: Cow<'a, str>,
    /// In the order they came.
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) faults: Vec<ValidationError>,
}

/// What came as a body.
pub(super) enum Body {
    Absent,
    Json(Value),
    /// Of a type that is not JSON; `None` if it is not UTF-8 either.
    Text(Option<String>),
    /// The fields in the order they came.
    Form(Vec<(String, String)>),
}

/// A JSON object that a body holds.
pub struct Object {
    fields: Map<String, Value>,
    secret: Option<&'static str>,
}

impl<'a> RequestFields<'a> {
    #[must_use]
    pub fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// A text in a header that stands there once; `None` if it does not.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        std::str::from_utf8(value.as_bytes()).ok()
    }

    /// The number in the path.
    pub fn path_integer(&mut self, name: &'static str) -> Option<JsonInteger> {
        let text = std::mem::take(&mut self.path_parameter);
        let parsed = integer_from_text(&text);
        self.note(["path", name], parsed, || Value::String(text.into_owned()))
    }

    /// An optional parameter of the query: the last of repeated ones counts.
    ///
    /// The outer `None` means a fault, the inner one that there is no such parameter.
    pub fn query<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<Option<T>> {
        let Some(value) = last(&self.query, name) else {
            return Some(None);
        };
        self.note(["query", name], rule(&value), || Value::String(value)).map(Some)
    }

    /// The body as an object. The values of its field `secret` are never repeated.
    pub fn object(&mut self, secret: Option<&'static str>) -> Option<Object> {
        let (problem, input) = match std::mem::replace(&mut self.body, Body::Absent) {
            Body::Json(Value::Object(fields)) => return Some(Object { fields, secret }),
            Body::Absent | Body::Json(Value::Null) => (missing(), Value::Null),
            Body::Json(other) => (not_an_object(), mask_outside(other, secret)),
            // Nobody can tell where in a text the secret stands.
            Body::Text(Some(text)) if secret.is_some() || names_secret(&text) => {
                (not_an_object(), Value::from(MASK))
            }
            Body::Text(Some(text)) => (not_an_object(), Value::String(text)),
            Body::Text(None) => (not_unicode(), Value::Null),
            Body::Form(_) => (not_an_object(), Value::Null),
        };
        self.faults.push(ValidationError::new(vec!["body".into()], problem, input));
        None
    }

    /// A field that must be there and keep to the rule.
    pub fn required<T>(
        &mut self,
        object: &Object,
        name: &'static str,
        rule: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<T> {
        match object.fields.get(name) {
            Some(value) => self.note(["body", name], rule(value), || object.repeat(name, value)),
            None => self.note(["body", name], Err(missing()), || object.repeat_all()),
        }
    }

    /// A field that takes the default when it is absent, but may not be null.
    pub fn defaulted<T>(
        &mut self,
        object: &Object,
        name: &'static str,
        default: T,
        rule: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<T> {
        match object.fields.get(name) {
            Some(value) => self.note(["body", name], rule(value), || object.repeat(name, value)),
            None => Some(default),
        }
    }

    /// A field of a form that may be absent.
    #[must_use]
    pub fn form_text(&self, name: &str) -> Option<String> {
        self.form_value(name)
    }

    /// A field of a form, as OAuth2 has it (RFC 6749, 3.2): a blank one counts as omitted.
    pub fn form_field(&mut self, name: &'static str) -> Option<String> {
        let value = self.form_value(name).filter(|value| !value.is_empty());
        self.note(["body", name], value.ok_or_else(missing), || Value::Null)
    }

    /// A field of a form that may be absent, and if it is not must keep to the rule.
    pub fn optional_form_field(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&str) -> Result<(), FieldError>,
    ) -> Option<()> {
        let Some(value) = self.form_value(name) else {
            return Some(());
        };
        self.note(["body", name], rule(&value), || Value::String(value))
    }

    fn form_value(&self, name: &str) -> Option<String> {
        match &self.body {
            Body::Form(fields) => last(fields, name),
            _ => None,
        }
    }

    fn note<T>(
        &mut self,
        place: [&'static str; 2],
        outcome: Result<T, FieldError>,
        input: impl FnOnce() -> Value,
    ) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(problem) => {
                let place = place.into_iter().map(Value::from).collect();
                self.faults.push(ValidationError::new(place, problem, input()));
                None
            }
        }
    }
}

impl Object {
    fn repeat(&self, name: &str, value: &Value) -> Value {
        if self.secret == Some(name) || names_secret(name) {
            Value::from(MASK)
        } else {
            mask_all(value.clone())
        }
    }

    fn repeat_all(&self) -> Value {
        mask_all(Value::Object(self.fields.clone()))
    }
}

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationError {
    place: Vec<Value>,
    problem: FieldError,
    input: Value,
}

impl ValidationError {
    pub(super) fn new(place: Vec<Value>, problem: FieldError, input: Value) -> Self {
        Self { place, problem, input }
    }
}

impl Serialize for ValidationError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.problem.kind)?;
        map.serialize_entry("loc", &self.place)?;
        map.serialize_entry("msg", &self.problem.message)?;
        map.serialize_entry("input", &self.input)?;
        if let Some(context) = &self.problem.context {
            map.serialize_entry("ctx", &BTreeMap::from([(context.0, &context.1)]))?;
        }
        map.end()
    }
}

/// A text that is not JSON, at this character.
pub(super) fn invalid_json(position: usize, message: String) -> ValidationError {
    let problem = FieldError::new("json_invalid", "JSON decode error").with("error", message);
    let place = vec![Value::from("body"), Value::from(position)];
    ValidationError::new(place, problem, Value::Object(Map::new()))
}

fn missing() -> FieldError {
    FieldError::new("missing", "Field required")
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

/// What the names of fields with secrets contain, whatever the client's spelling and language.
const SECRET_NAMES: [&str; 6] = ["pass", "pwd", "kennwort", "contrase", "secret", "token"];

fn names_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| text.contains(secret))
}

/// Masks the fields that are called like secrets, at any depth and in any case: a client that
/// misspells the name, or takes one route for another, still sends a password or a token.
fn mask_all(mut value: Value) -> Value {
    mask_within(&mut value);
    value
}

/// The same for what is no object. Where a secret is expected nobody can tell where in it that
/// stands, so that every text is masked but an address, which a client mistakes for the whole request.
fn mask_outside(value: Value, secret: Option<&str>) -> Value {
    match value {
        _ if secret.is_none() => mask_all(value),
        Value::String(text) if Email::parse(&text).is_ok() => Value::String(text),
        other => mask_texts(other),
    }
}

fn mask_texts(value: Value) -> Value {
    match value {
        Value::String(_) => Value::from(MASK),
        Value::Array(items) => items.into_iter().map(mask_texts).collect(),
        mut other => {
            mask_within(&mut other);
            other
        }
    }
}

fn mask_within(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_within),
        Value::Object(fields) => {
            for (name, field) in fields {
                if names_secret(name) {
                    *field = Value::from(MASK);
                } else {
                    mask_within(field);
                }
            }
        }
        _ => {}
    }
}
