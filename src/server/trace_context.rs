//! Takes the trace that a request belongs to from its header (W3C Trace Context, `traceparent`), so
//! that log lines can be found by the trace of a proxy. No response mentions it.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The places of the IDs in `00-TRACE-SPAN-FLAGS`.
const TRACE: Range<usize> = 3..35;
const SPAN: Range<usize> = 36..52;
const LENGTH: usize = 55;

/// A well-formed header, so that its value is safe in a log.
pub(super) struct TraceContext(HeaderValue);

impl TraceContext {
    /// Returns `None` unless there is one header of version 00, in lower-case hexadecimal digits, of
    /// which neither ID is zero.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        (values.next().is_none() && is_well_formed(value.as_bytes())).then(|| Self(value.clone()))
    }

    pub(super) fn trace_id(&self) -> &str {
        self.part(TRACE)
    }

    /// Returns the ID of the span that sent the request.
    pub(super) fn span_id(&self) -> &str {
        self.part(SPAN)
    }

    fn part(&self, range: Range<usize>) -> &str {
        self.0.to_str().ok().and_then(|text| text.get(range)).unwrap_or_default()
    }
}

fn is_well_formed(value: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let is_part = |(index, byte): (usize, &u8)| match index {
        2 | 35 | 52 => *byte == b'-',
        _ => is_digit(byte),
    };
    let is_set = |range| {
        value.get::<Range<usize>>(range).is_some_and(|id| id.iter().any(|byte| *byte != b'0'))
    };
    value.len() == LENGTH
        && value.starts_with(b"00-")
        && value.iter().enumerate().all(is_part)
        && is_set(TRACE)
        && is_set(SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN_ID: &str = "00f067aa0ba902b7";

    fn parse(values: &[&str]) -> Option<(String, String)> {
        let values = values
            .iter()
            .map(|value| (TRACEPARENT, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        let context = TraceContext::of(&headers)?;
        Some((context.trace_id().to_owned(), context.span_id().to_owned()))
    }

    #[test]
    fn well_formed_header_has_both_ids() {
        for flags in ["00", "01", "ff"] {
            let found = parse(&[&format!("00-{TRACE_ID}-{SPAN_ID}-{flags}")]);
            assert_eq!(found, Some((TRACE_ID.to_owned(), SPAN_ID.to_owned())), "{flags}");
        }
    }

    #[test]
    fn malformed_header_is_ignored() {
        let valid = format!("00-{TRACE_ID}-{SPAN_ID}-01");
        let zeros = |count| "0".repeat(count);
        let mut malformed = vec![
            String::new(),
            "00".to_owned(),
            valid.to_uppercase(),
            format!("{valid}-"),
            format!("{valid}-what-the-future-will-be"),
            format!("{valid},{valid}"),
            format!("{valid}0"),
            format!("01-{TRACE_ID}-{SPAN_ID}-01"),
            format!("ff-{TRACE_ID}-{SPAN_ID}-01"),
            format!("00-{}-{SPAN_ID}-01", zeros(32)),
            format!("00-{TRACE_ID}-{}-01", zeros(16)),
            format!("00-{TRACE_ID}-{SPAN_ID}-0g"),
            format!("00_{TRACE_ID}_{SPAN_ID}_01"),
            format!("00-{SPAN_ID}-{TRACE_ID}-01"),
            format!("00-{}\u{e9}-{SPAN_ID}-01", "a".repeat(30)),
        ];
        malformed.extend((0..valid.len()).map(|length| valid.chars().take(length).collect()));
        malformed.extend((0..valid.len()).map(|index| {
            let mut changed = valid.clone();
            changed.replace_range(index..=index, "\"");
            changed
        }));
        for value in malformed {
            assert_eq!(parse(&[&value]), None, "{value:?}");
        }
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[&valid, &valid]), None);
    }
}
