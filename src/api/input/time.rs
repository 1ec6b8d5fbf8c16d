//! Parses times of RFC 3339, with the error texts of pydantic.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::FieldError;

/// Accepts a date, a time and an offset from UTC (RFC 3339, 5.6). A space before the offset counts
/// as `+`: in a query, `+` stands for a space. A time that is later or earlier than any post becomes
/// the latest or earliest one.
///
/// # Errors
/// `timezone_aware` without an offset, `datetime_parsing` for any other text.
pub(in crate::api) fn time_from_text(text: &str) -> Result<Timestamp, FieldError> {
    let invalid = || FieldError::new("datetime_parsing", "Input should be a valid datetime");
    let (local, offset) = split_offset(text);
    let local = parse_local(local).ok_or_else(invalid)?;
    let Some(offset) = offset else {
        return Err(FieldError::new("timezone_aware", "Input should have timezone info"));
    };
    let seconds = parse_offset(offset).ok_or_else(invalid)?;
    let offset = Offset::from_seconds(seconds).map_err(|_| invalid())?;
    let is_early = local.year() < 5000;
    let nearest = if is_early { Timestamp::MIN } else { Timestamp::MAX };
    Ok(offset.to_timestamp(local).unwrap_or(nearest))
}

/// Splits the offset from the end: `Z`, or `+hh:mm`.
fn split_offset(text: &str) -> (&str, Option<&str>) {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return (local, Some("+00:00"));
    }
    match text.len().checked_sub(6).and_then(|start| text.split_at_checked(start)) {
        Some((local, offset)) if local.len() > 10 && offset.starts_with(['+', '-', ' ']) => {
            (local, Some(offset))
        }
        _ => (text, None),
    }
}

fn parse_local(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_at_checked(10)?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let has_shape = has_shape(date, "0000-00-00") && has_shape(time, "00:00:00");
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    // Digits after the ninth are less than a nanosecond.
    let fraction = fraction.get(..9).unwrap_or(fraction);
    let text = format!("{date}T{time}.{fraction}");
    (has_shape && is_fraction).then(|| text.parse().ok()).flatten()
}

/// Returns the seconds of an offset like `+02:00`.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, time) = text.split_at_checked(1)?;
    let (hours, minutes) = time.split_once(':').filter(|_| has_shape(time, "00:00"))?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (hours * 60 + minutes) * 60;
    (hours < 24 && minutes < 60).then_some(if sign == "-" { -seconds } else { seconds })
}

/// Whether the text has a digit for each `0` of the shape, and otherwise equals it.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, expected)| match expected {
            b'0' => byte.is_ascii_digit(),
            _ => byte == expected,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_with_an_offset_is_accepted() {
        for (text, time) in [
            ("2025-01-31T12:00:00Z", "2025-01-31T12:00:00Z"),
            ("2025-01-31t12:00:00z", "2025-01-31T12:00:00Z"),
            ("2025-01-31 12:00:00.123456789123+02:00", "2025-01-31T10:00:00.123456789Z"),
            ("2025-01-31T12:00:00 02:00", "2025-01-31T10:00:00Z"),
            ("2025-01-31T12:00:00.5-00:30", "2025-01-31T12:30:00.5Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-30T22:00:00.999999999Z"),
        ] {
            let parsed = time_from_text(text).map(|time| time.to_string());
            let expected: Timestamp = time.parse().unwrap();
            assert_eq!(parsed, Ok(expected.to_string()), "{text}");
        }
    }

    #[test]
    fn other_text_is_rejected() {
        let kind = |text| time_from_text(text).unwrap_err().kind;
        for text in ["2025-01-31T12:00:00", "2025-01-31 12:00:00.25"] {
            assert_eq!(kind(text), "timezone_aware", "{text}");
        }
        for text in [
            "",
            "yesterday",
            "1738324800",
            "2025-01-31",
            "2025-02-30T12:00:00Z",
            "2025-01-31Z",
            "2025-01-31T12:00Z",
            "2025-01-31T12:00:00+0200",
            "2025-01-31T12:00:00+24:00",
            "2025-01-31T12:00:00.Z",
            "2025-01-31T12:00:00é+02:00",
            "+002025-01-31T12:00:00Z",
            "2025-01-31T12:00:00+1:000",
            "2025-01-31T12:00:00[UTC]",
        ] {
            assert_eq!(kind(text), "datetime_parsing", "{text}");
        }
    }
}
