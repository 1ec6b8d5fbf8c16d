//! JSON values of a bounded number of parts. A body of two mebibytes can name a million empty lists,
//! each of which takes more memory than its two characters.
//!
//! It also takes every object for an object: `serde_json`'s own reading lets some names stand for
//! numbers, and with a feature that any dependency may switch on, for JSON inside of JSON.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Values in a body, each member of lists and objects counted: far more than any request has.
const MOST_PARTS: usize = 50_000;

/// What the library says when the bound is reached, for `json` to know it again.
pub(super) const TOO_MANY_PARTS: &str = "too many values";

/// The name under which numbers come with `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one value.
pub(super) fn read(text: &str) -> serde_json::Result<Value> {
    let left = Cell::new(MOST_PARTS);
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
            self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom(TOO_MANY_PARTS))?;
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

    /// An object, or a number in the library's disguise: one field whose value parses as a number.
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            fields.insert(name, object.next_value_seed(self)?);
        }
        match disguised_number(&fields) {
            Some(number) => Ok(Value::Number(number)),
            None => Ok(Value::Object(fields)),
        }
    }
}

fn disguised_number(fields: &Map<String, Value>) -> Option<Number> {
    if fields.len() != 1 {
        return None;
    }
    fields.get(NUMBER)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_inside_of_json_stays_text() {
        let text = r#"{"$serde_json::private::RawValue":"[1]"}"#;
        assert_eq!(read(text).unwrap().to_string(), text);
    }

    /// The library's own reading must not have the feature: tokens are read by it.
    #[test]
    fn no_dependency_brings_raw_values() {
        let text = r#"{"$serde_json::private::RawValue":"[1]"}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn values_are_read_as_the_library_reads_them() {
        for text in [
            "null",
            "[true,false]",
            r#"{"a":1.50,"b":[1,-0,123456789012345678901234567890,1e5],"a":""}"#,
            r#"{"c":{"d":[],"e":{}},"\u00e9":"\ud83d\ude00"}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", " ", "{", "[1,]", "{}{}", "1 2", "nul", r#"{"a" 1}"#, "NaN", "01"] {
            let expected = serde_json::from_str::<Value>(text).unwrap_err().to_string();
            assert_eq!(read(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let list = |items: usize| format!("[{}0]", "0,".repeat(items - 1));
        assert!(read(&list(MOST_PARTS - 1)).is_ok());
        let refused = read(&list(MOST_PARTS)).unwrap_err().to_string();
        assert!(refused.starts_with(TOO_MANY_PARTS), "{refused}");
    }
}
