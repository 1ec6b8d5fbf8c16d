//! The fence of reads: a standby answers them with an error, because its rows may be stale.
//!
//! A connection with a session needs no fence. It is checked when it is opened, and a server becomes
//! a standby only after a restart, which closes the connection. Behind a pooler in transaction mode,
//! any statement may get a connection to another server.

use super::connection::Connection;
use super::error::lacks_function;
use super::statement::{Statement, statements};
use crate::store::Result;

/// Ends a statement that only reads. PostgreSQL evaluates an offset once, before the first row and
/// also if no row matches, and an offset of null skips no row. On a standby, the function fails with
/// the SQLSTATE 55000. An offset does not change the plan, unlike a limit.
macro_rules! fence {
    () => {
        " OFFSET CASE WHEN pg_current_wal_lsn() IS NULL THEN 0 END"
    };
}

/// Ends a statement that only reads, if reads are confirmed. It writes an empty message to the log,
/// so the commit waits for the synchronous standby like that of a write. A former primary beside a
/// new one gets no answer: its standby was promoted, or follows the new primary. The fence comes
/// first, because a standby refuses the message with another error.
macro_rules! confirmation {
    () => {
        " OFFSET CASE WHEN pg_current_wal_lsn() IS NULL \
                        OR pg_logical_emit_message(TRUE, '', '') IS NULL THEN 0 END"
    };
}

pub(super) use confirmation;
pub(super) use fence;

statements! {
    unfenced;
    FIND_POSITION() = "SELECT pg_current_wal_lsn() IS NOT NULL";
    // Ends a transaction that writes, if reads are confirmed: its answer may be that nothing changed.
    CONFIRM() = "SELECT pg_logical_emit_message(TRUE, '', '') IS NOT NULL";
}

/// Whether the server can fence reads. A server with another log, such as Aurora, may lack the
/// function; then nothing tells its standbys apart.
///
/// # Errors
/// If the server is a standby or does not answer.
pub(super) async fn is_supported(connection: &Connection) -> Result<bool> {
    match connection.query(&FIND_POSITION, &[]).await {
        Ok(_) => Ok(true),
        Err(error) if lacks_function(error.code()) => {
            tracing::warn!(
                "the server has no pg_current_wal_lsn: behind the pooler, reads may come from a standby"
            );
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Words of a statement that writes or locks. A standby refuses such a statement itself.
const WRITES: [&str; 7] =
    ["INSERT INTO", "UPDATE ", "DELETE FROM", "FOR UPDATE", "FOR KEY SHARE", "setval(", "nextval("];

/// Whether the statement neither writes nor locks rows.
pub(super) const fn only_reads(sql: &str) -> bool {
    let mut words: &[&str] = &WRITES;
    while let [word, others @ ..] = words {
        if contains(sql.as_bytes(), word.as_bytes()) {
            return false;
        }
        words = others;
    }
    true
}

pub(super) const fn contains(mut text: &[u8], word: &[u8]) -> bool {
    loop {
        if starts_with(text, word) {
            return true;
        }
        match text {
            [_, rest @ ..] => text = rest,
            [] => return false,
        }
    }
}

const fn starts_with(mut text: &[u8], mut word: &[u8]) -> bool {
    while let [wanted, others @ ..] = word {
        match text {
            [found, rest @ ..] if *found == *wanted => (text, word) = (rest, others),
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::only_reads;

    #[test]
    fn statement_that_writes_or_locks_does_not_only_read() {
        for (sql, expected) in [
            ("SELECT id FROM users WHERE updated", true),
            (
                "WITH new AS (INSERT INTO users DEFAULT VALUES RETURNING id) SELECT id FROM new",
                false,
            ),
            ("UPDATE users SET id = 1", false),
            ("DELETE FROM users", false),
            ("SELECT id FROM users FOR KEY SHARE", false),
            ("SELECT setval('a', 1)", false),
            ("", true),
        ] {
            assert_eq!(only_reads(sql), expected, "{sql}");
        }
    }
}
