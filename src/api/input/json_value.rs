//! Parses a JSON value with a limited number of nested values. A body of 2 MiB can contain 700,000
//! empty lists, and each list takes more memory than its characters.
//!
//! It also parses every object as an object. `serde_json` treats some field names specially: one
//! marks numbers, and another marks JSON inside a string if any dependency enables the feature
//! `raw_value`.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Maximum number of values in a body, including the members of lists and objects. Valid requests
/// have far fewer.
const MAX_VALUES: usize = 50_000;

/// The message of the error at the limit, by which `json.rs` recognizes it.
pub(super) const TOO_MANY_VALUES: &str = "too many values";

/// The field name with which the feature `arbitrary_precision` passes a number as an object.
const NUMBER: &str = "$serde_json::private::Number";

/// Parses one value.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    let left = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Bounded { left: &left }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left =
            self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom(TOO_MANY_VALUES))?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    /// Returns an object, or a number if `arbitrary_precision` passed it as an object.
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            fields.insert(name, object.next_value_seed(self)?);
        }
        match wrapped_number(&fields) {
            Some(number) => Ok(Value::Number(number)),
            None => Ok(Value::Object(fields)),
        }
    }
}

fn wrapped_number(fields: &Map<String, Value>) -> Option<Number> {
    if fields.len() != 1 {
        return None;
    }
    fields.get(NUMBER)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_inside_a_string_stays_text() {
        let text = r#"{"$serde_json::private::RawValue":"[1]"}"#;
        assert_eq!(parse(text).unwrap().to_string(), text);
    }

    /// `serde_json` itself parses the claims of tokens, so the feature `raw_value` must stay off.
    #[test]
    fn raw_value_feature_is_off() {
        let text = r#"{"$serde_json::private::RawValue":"[1]"}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn values_equal_those_of_serde_json() {
        for text in [
            "null",
            "[true,false]",
            r#"{"a":1.50,"b":[1,-0,123456789012345678901234567890,1e5],"a":""}"#,
            r#"{"c":{"d":[],"e":{}},"\u00e9":"\ud83d\ude00"}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn invalid_json_is_rejected_like_serde_json() {
        for text in ["", " ", "{", "[1,]", "{}{}", "1 2", "nul", r#"{"a" 1}"#, "NaN", "01"] {
            let expected = serde_json::from_str::<Value>(text).unwrap_err().to_string();
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn too_many_values_are_rejected() {
        let list = |items: usize| format!("[{}0]", "0,".repeat(items - 1));
        assert!(parse(&list(MAX_VALUES - 1)).is_ok());
        let error = parse(&list(MAX_VALUES)).unwrap_err().to_string();
        assert!(error.starts_with(TOO_MANY_VALUES), "{error}");
    }
}
