//! Times as the databases store them. Another program may have stored any number.

use jiff::Timestamp;

/// 0001-01-01T00:00:00Z. RFC 3339 knows no earlier time.
const EARLIEST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Returns the time of this many microseconds since 1970, or the nearest time in the years 1 to
/// 9999.
pub(super) fn nearest_time(microseconds: i64) -> Timestamp {
    let nearest = if microseconds < 0 { EARLIEST } else { Timestamp::MAX };
    Timestamp::from_microsecond(microseconds).unwrap_or(nearest).max(EARLIEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_the_nearest_time() {
        let time = |microseconds| nearest_time(microseconds).to_string();
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(time(EARLIEST.as_microsecond()), "0001-01-01T00:00:00Z");
        assert_eq!(time(EARLIEST.as_microsecond() - 1), "0001-01-01T00:00:00Z");
        assert_eq!(time(i64::MIN), "0001-01-01T00:00:00Z");
        // The last second that exists in every time zone.
        let last_second = 253_402_207_200_000_000;
        assert_eq!(time(last_second), "9999-12-30T22:00:00Z");
        assert_eq!(nearest_time(last_second + 1_000_000), Timestamp::MAX);
        assert_eq!(nearest_time(i64::MAX), Timestamp::MAX);
    }
}
