//! The sequences of IDs: whether the next value is in use already, and how much of the range is
//! left. A restore of the rows only leaves sequences behind. An adopted table has IDs of 32 bits.

use tokio_postgres::{Client, Error};

use super::lock::Retry;
use crate::store::migrate::MigrateResult;

/// A sequence that the default of a column uses.
pub(super) struct Sequence {
    name: String,
    column: String,
    /// The next value, if this role may read it.
    next: Option<i64>,
    /// The largest value in the column.
    largest: i64,
    /// The largest value that the sequence and the column allow.
    limit: i64,
    is_cycling: bool,
}

/// The share of the range from which a warning is due, in percent.
const NEARLY_USED_UP: i64 = 80;

const FIND: &str = "
    SELECT tables.relname::text, attname::text,
           format('%I.%I', nspname, sequence_class.relname),
           format('SELECT max(%I)::bigint FROM %I', attname, tables.relname),
           least(seqmax, CASE atttypid WHEN 'smallint'::regtype THEN 32767
                                       WHEN 'integer'::regtype THEN 2147483647
                                       ELSE 9223372036854775807 END),
           seqcycle, seqincrement,
           has_sequence_privilege(seqrelid, 'SELECT'), has_sequence_privilege(seqrelid, 'USAGE'),
           has_column_privilege(tables.oid, attnum, 'SELECT')
      FROM unnest(ARRAY['users', 'posts', 'sessions', 'events']) AS name
      JOIN pg_class AS tables ON tables.oid = to_regclass(name)
      JOIN pg_attribute ON attrelid = tables.oid AND attname = 'id'
      JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
                    AND refclassid = 'pg_class'::regclass
      JOIN pg_sequence ON seqrelid = refobjid
      JOIN pg_class AS sequence_class ON sequence_class.oid = seqrelid
      JOIN pg_namespace ON pg_namespace.oid = sequence_class.relnamespace
     ORDER BY 1";

/// Reads the sequences of all tables that exist.
pub(super) async fn read(client: &Client) -> Result<Vec<Sequence>, Error> {
    let mut sequences = Vec::new();
    for row in client.query(FIND, &[]).await? {
        let (table, column, name): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let find_largest: String = row.try_get(3)?;
        let increment: i64 = row.try_get(6)?;
        let (is_readable, is_usable): (bool, bool) = (row.try_get(7)?, row.try_get(8)?);
        let next = if is_readable {
            let value = format!(
                "SELECT CASE WHEN is_called THEN last_value + {increment} ELSE last_value END FROM {name}"
            );
            Some(client.query_one(&value, &[]).await?.try_get(0)?)
        } else if is_usable {
            // Null until the first use.
            let value = "SELECT pg_sequence_last_value(to_regclass($1)) + $2";
            client.query_one(value, &[&name, &increment]).await?.try_get(0)?
        } else {
            None
        };
        let largest: Option<i64> = if row.try_get(9)? {
            client.query_one(&find_largest, &[]).await?.try_get(0)?
        } else {
            None
        };
        sequences.push(Sequence {
            name,
            column: format!("{table}.{column}"),
            next,
            largest: largest.unwrap_or(0),
            limit: row.try_get(4)?,
            is_cycling: row.try_get(5)?,
        });
    }
    Ok(sequences)
}

/// Describes the sequences that make inserts fail, or give IDs twice.
pub(super) fn problems(sequences: &[Sequence]) -> Vec<String> {
    sequences.iter().filter_map(Sequence::describe_problem).collect()
}

/// Describes the sequences that have used most of their range.
pub(super) fn notes(sequences: &[Sequence]) -> Vec<String> {
    sequences.iter().filter_map(Sequence::describe_use).collect()
}

impl Sequence {
    fn is_behind(&self) -> bool {
        self.next.is_some_and(|next| next <= self.largest)
    }

    fn describe_problem(&self) -> Option<String> {
        let Self { name, column, largest, limit, .. } = self;
        let next = self.next?;
        if self.is_cycling {
            Some(format!(
                "sequence {name}: begins again after its last value, so that an ID can be used \
                 twice: run `ALTER SEQUENCE {name} NO CYCLE`"
            ))
        } else if self.is_behind() {
            Some(format!(
                "sequence {name}: its next value is {next}, but {column} has values up to \
                 {largest}: run `post-api db verify --repair`"
            ))
        } else if next > *limit {
            Some(format!("sequence {name}: is used up, {}", self.cure()))
        } else {
            None
        }
    }

    fn describe_use(&self) -> Option<String> {
        let next = self.next?;
        let percent = i128::from(next) * 100 / i128::from(self.limit.max(1));
        let is_due = percent >= i128::from(NEARLY_USED_UP) && next <= self.limit;
        is_due.then(|| {
            format!("sequence {}: {percent} % of its values are used, {}", self.name, self.cure())
        })
    }

    /// Returns the cure for a range that is used up.
    fn cure(&self) -> String {
        let (table, column) = self.column.split_once('.').unwrap_or_default();
        format!(
            "{} allows values up to {}: run `ALTER SEQUENCE {} AS bigint` and, while the service is \
             stopped, `ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint`",
            self.column, self.limit, self.name
        )
    }
}

/// Moves each sequence that is behind to the largest value of its column. Describes what changed.
pub(super) async fn repair(client: &mut Client, retry: &Retry) -> MigrateResult<Vec<String>> {
    let mut done = Vec::new();
    for sequence in read(client).await?.iter().filter(|sequence| sequence.is_behind()) {
        while let Err(error) = advance(client, sequence).await {
            retry.after(client, error).await?;
        }
        done.push(format!("sequence {}: moved behind {}", sequence.name, sequence.column));
    }
    Ok(done)
}

async fn advance(client: &mut Client, sequence: &Sequence) -> Result<(), Error> {
    let Sequence { name, column, .. } = sequence;
    let (table, column) = column.split_once('.').unwrap_or_default();
    let transaction = client.transaction().await?;
    // Waits for the inserts in flight, and new ones wait: their IDs come from the sequence.
    let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
    transaction.batch_execute(&lock).await?;
    let advance = format!(
        "SELECT setval(to_regclass($1), greatest((SELECT max({column}) FROM {table}), last_value))
           FROM {name}"
    );
    transaction.query_one(&advance, &[name]).await?;
    transaction.commit().await
}
