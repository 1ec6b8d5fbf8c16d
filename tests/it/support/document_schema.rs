//! Compares values with the schemas of an OpenAPI document. Every object counts as closed: a field
//! that its schema does not name is an error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{Draft, Validator};
use post_api::domain::email::Email;
use serde_json::{Map, Value, json};

pub(super) struct Schemas {
    components: Value,
    /// By the text of their schema.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Schemas {
    pub(super) fn new(document: &Value) -> Self {
        Self { components: document["components"].clone(), validators: Mutex::default() }
    }

    pub(super) fn check_component(&self, name: &str, value: &Value) -> Result<(), String> {
        self.check(&json!({"$ref": format!("#/components/schemas/{name}")}), value)
    }

    /// Checks each line of JSON against the schema of this name. OpenAPI 3.1 has no schema for the
    /// lines of a text.
    pub(super) fn check_lines(&self, name: &str, text: &str) -> Result<(), String> {
        let mut lines = text.lines();
        lines.try_for_each(|line| self.check_component(name, &serde_json::from_str(line).unwrap()))
    }

    pub(super) fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = {
            let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
            let validator = validators.entry(schema.to_string());
            Arc::clone(validator.or_insert_with(|| Arc::new(compile(&self.closed(schema, true)))))
        };
        validator
            .validate(value)
            .map_err(|error| format!("{error} at {:?}", error.instance_path().to_string()))
    }

    /// Returns the schema without references, closed if `rejects_others`.
    fn closed(&self, schema: &Value, rejects_others: bool) -> Value {
        let Value::Object(keywords) = schema else {
            return schema.clone();
        };
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            let pointer = reference.trim_start_matches("#/components");
            return self.closed(self.components.pointer(pointer).unwrap(), rejects_others);
        }
        let mut closed: Map<String, Value> = keywords
            .iter()
            .map(|(keyword, value)| {
                (keyword.clone(), self.closed_keyword(keyword, value, rejects_others))
            })
            .collect();
        let names_fields = ["properties", "allOf"].iter().any(|name| closed.contains_key(*name));
        if rejects_others && names_fields {
            closed.insert("unevaluatedProperties".to_owned(), json!(false));
        }
        Value::Object(closed)
    }

    fn closed_keyword(&self, keyword: &str, value: &Value, rejects_others: bool) -> Value {
        let each = |rejects_others: bool| -> Value {
            value
                .as_array()
                .unwrap()
                .iter()
                .map(|schema| self.closed(schema, rejects_others))
                .collect()
        };
        match keyword {
            "properties" => {
                let fields = value.as_object().unwrap().iter();
                fields.map(|(name, schema)| (name.clone(), self.closed(schema, true))).collect()
            }
            "items" => self.closed(value, true),
            "oneOf" | "anyOf" => each(rejects_others),
            // Only the whole knows all fields.
            "allOf" => each(false),
            _ => value.clone(),
        }
    }
}

fn compile(schema: &Value) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        // Internationalized e-mails are valid too. The document keeps the format name of the
        // reference service, which stands for ASCII only.
        .with_format("email", |text: &str| Email::parse(text).is_ok())
        .build(schema)
        .unwrap()
}

/// Converts the fields of a request as the introduction of the document describes. Leaves out the
/// ignored fields that the schema does not name.
pub(super) fn convert_fields(
    document: &Value,
    schema: &Value,
    fields: Map<String, Value>,
    is_ignored: impl Fn(&str) -> bool,
) -> Value {
    let reference = schema["$ref"].as_str().unwrap_or_default();
    let schema = document.pointer(reference.trim_start_matches('#')).unwrap_or(schema);
    let properties = &schema["properties"];
    fields
        .into_iter()
        .filter(|(name, _)| properties[name].is_object() || !is_ignored(name))
        .map(|(name, value)| {
            let converted = convert(&properties[name.as_str()], value);
            (name, converted)
        })
        .collect()
}

/// Returns the value that the service reads for this schema.
pub(super) fn convert(schema: &Value, value: Value) -> Value {
    let converted = match schema["type"].as_str() {
        Some("integer") => integer(&value),
        Some("boolean") => boolean(&value),
        Some("array") => list(&schema["items"], &value),
        _ => None,
    };
    converted.unwrap_or(value)
}

/// Returns the values of a text with commas between them. A blank text has none.
fn list(items: &Value, value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let values = text.split(',').filter(|item| !item.is_empty());
    Some(values.map(|item| convert(items, Value::from(item))).collect())
}

fn integer(value: &Value) -> Option<Value> {
    if let Value::Bool(value) = value {
        return Some(json!(u8::from(*value)));
    }
    let text = value.as_str()?.trim().replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let (digits, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let is_whole = fraction.bytes().all(|byte| byte == b'0');
    is_whole.then(|| serde_json::from_str(&format!("{sign}{digits}")).ok())?
}

fn boolean(value: &Value) -> Option<Value> {
    const TRUE: [&str; 6] = ["1", "t", "true", "y", "yes", "on"];
    const FALSE: [&str; 6] = ["0", "f", "false", "n", "no", "off"];
    let text = match value {
        Value::String(text) => text.to_lowercase(),
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        _ => return None,
    };
    let is_true = TRUE.contains(&text.as_str());
    (is_true || FALSE.contains(&text.as_str())).then(|| json!(is_true))
}

/// Returns the fields of a form. The last of equal names counts.
pub(super) fn form_fields(media_type: &str, body: &[u8]) -> Value {
    let start = media_type.to_ascii_lowercase().find("boundary=");
    let Some(boundary) = start.map(|start| &media_type[start + "boundary=".len()..]) else {
        let fields = form_urlencoded::parse(body);
        return fields
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
            .collect();
    };
    let text = String::from_utf8_lossy(body);
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    text.split(&delimiter)
        .filter_map(|part| {
            let (head, value) = part.split_once("\r\n\r\n")?;
            let (_, name) = head.split_once("name=\"")?;
            let (name, _) = name.split_once('"')?;
            let is_file = head.contains("filename");
            (!is_file).then(|| (name.to_owned(), Value::from(value.trim_end_matches("\r\n"))))
        })
        .collect()
}

/// Returns a media type without its parameters.
pub(super) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
