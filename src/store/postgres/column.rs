//! Reads the values of columns. Another program may have written any value that the column accepts.
//! It also sends the times of a batch; the driver sends all other values.

use std::borrow::Cow;
use std::error::Error;

use bytes::BytesMut;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::stored_text::readable_text;
use crate::store::stored_time::nearest_time;
use crate::store::{Result, StoreError};

/// Reads the value of a column. An unreadable value is an internal error, not a transient one.
pub(super) fn column<'a, T: Column<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map(T::from_stored).map_err(StoreError::internal)
}

/// A type of the values of columns.
pub(super) trait Column<'a> {
    /// The type that the driver reads.
    type Stored: FromSql<'a>;

    fn from_stored(stored: Self::Stored) -> Self;
}

macro_rules! read_by_driver {
    ($($type:ty),+) => {
        $(impl<'a> Column<'a> for $type {
            type Stored = Self;

            fn from_stored(stored: Self) -> Self {
                stored
            }
        })+
    };
}

read_by_driver!(bool, i32, i64, &'a [u8]);

impl<'a, T: Column<'a>> Column<'a> for Option<T> {
    type Stored = Option<T::Stored>;

    fn from_stored(stored: Self::Stored) -> Self {
        stored.map(T::from_stored)
    }
}

impl<'a> Column<'a> for Cow<'a, str> {
    type Stored = StoredText<'a>;

    fn from_stored(StoredText(text): StoredText<'a>) -> Self {
        text
    }
}

impl<'a> Column<'a> for String {
    type Stored = StoredText<'a>;

    fn from_stored(StoredText(text): StoredText<'a>) -> Self {
        text.into_owned()
    }
}

impl Column<'_> for Timestamp {
    type Stored = StoredTime;

    fn from_stored(StoredTime(time): StoredTime) -> Self {
        time
    }
}

/// A text. Bytes that are not UTF-8 become U+FFFD; a database with the encoding `SQL_ASCII` can have
/// such bytes.
pub(super) struct StoredText<'a>(Cow<'a, str>);

impl<'a> FromSql<'a> for StoredText<'a> {
    fn from_sql(
        _: &Type,
        bytes: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(readable_text(bytes)))
    }

    fn accepts(ty: &Type) -> bool {
        <&str as FromSql>::accepts(ty)
    }
}

/// A time. PostgreSQL stores the years -4713 to 294276, `infinity` and `-infinity`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredTime(pub(super) Timestamp);

/// The time from which PostgreSQL counts, 2000-01-01, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

impl<'a> FromSql<'a> for StoredTime {
    fn from_sql(
        _: &Type,
        bytes: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        let since_2000 = i64::from_sql(&Type::INT8, bytes)?;
        Ok(Self(nearest_time(since_2000.saturating_add(EPOCH))))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// The driver sends a time by way of a calendar span, which takes 890 instructions for each.
impl ToSql for StoredTime {
    fn to_sql(
        &self,
        _: &Type,
        bytes: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.as_microsecond().saturating_sub(EPOCH).to_sql(&Type::INT8, bytes)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_time_is_readable() {
        let time = |microseconds: i64| {
            let bytes = microseconds.to_be_bytes();
            StoredTime::from_sql(&Type::TIMESTAMPTZ, &bytes).unwrap().0
        };
        assert_eq!(time(-1).to_string(), "1999-12-31T23:59:59.999999Z");
        assert_eq!(time(i64::MAX), Timestamp::MAX);
        assert_eq!(time(i64::MIN).to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn time_is_sent_as_the_driver_sends_it() {
        let times =
            ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59.999999Z", "2026-02-03T04:05:06.7Z"];
        let times = times.map(|time| time.parse().unwrap());
        for time in times.into_iter().chain([Timestamp::MAX]) {
            let (mut ours, mut drivers) = (BytesMut::new(), BytesMut::new());
            StoredTime(time).to_sql(&Type::TIMESTAMPTZ, &mut ours).unwrap();
            time.to_sql(&Type::TIMESTAMPTZ, &mut drivers).unwrap();
            assert_eq!(ours, drivers, "{time}");
        }
    }

    #[test]
    fn every_stored_text_is_readable() {
        let StoredText(text) = StoredText::from_sql(&Type::TEXT, b"a\xffb").unwrap();
        assert_eq!(text, "a\u{fffd}b");
    }
}
