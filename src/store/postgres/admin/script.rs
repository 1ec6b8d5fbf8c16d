//! What a migration's file holds: one transaction, or statements that each stand alone.
//!
//! A file whose first line is [`ALONE`] is run statement by statement, because some things cannot be
//! done in a transaction, and because a lock that was taken in one is kept to its end. Each of its
//! statements must bear being run again after a crash. A statement ends with `;` at the end of a
//! line, outside of `$$`; or with a line `\gexec`, as in psql: then what it returns is run, each
//! text a statement.

use tokio_postgres::{Client, SimpleQueryMessage};

const ALONE: &str = "-- no transaction";
const RUN_WHAT_IT_RETURNS: &str = "\\gexec";

/// What a step finds set, in the command as in a printed script.
///
/// A change of a table waits for whoever uses it, and everybody else waits behind it: never for long.
/// Functions remember the path, which nobody else's schema and no temporary table is to be on.
pub(super) const PREAMBLE: &str = "\
SET statement_timeout = 0;
SET lock_timeout = '400ms';
SET idle_in_transaction_session_timeout = '1min';
SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(current_schema()) || ', pg_temp', false);
";

pub(super) fn stands_alone(sql: &str) -> bool {
    sql.lines().next() == Some(ALONE)
}

/// The statements of a file, in their order, each with the comments above it.
#[must_use]
pub fn statements(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    let mut is_in_body = false;
    for line in sql.lines() {
        if line.matches("$$").count() % 2 == 1 {
            is_in_body = !is_in_body;
        }
        statement.push_str(line);
        statement.push('\n');
        if !is_in_body && (line.ends_with(';') || line == RUN_WHAT_IT_RETURNS) {
            found.push(std::mem::take(&mut statement));
        }
    }
    found
}

/// Runs one statement of a file outside of a transaction.
pub(super) async fn run_alone(
    client: &Client,
    statement: &str,
) -> Result<(), tokio_postgres::Error> {
    let Some(question) = statement.trim_end().strip_suffix(RUN_WHAT_IT_RETURNS) else {
        return client.batch_execute(statement).await;
    };
    for message in client.simple_query(question).await? {
        if let SimpleQueryMessage::Row(row) = message
            && let Some(made) = row.try_get(0)?
        {
            client.batch_execute(made).await?;
        }
    }
    Ok(())
}
