//! The format of a migration file: one transaction, or statements that run without one.
//!
//! If the first line of a file is [`NO_TRANSACTION`], the file runs statement by statement. Some
//! changes are impossible in a transaction, and a transaction would keep its locks until its end.
//! After a crash, a statement may run again, so each must tolerate that. A statement ends with `;`
//! at the end of a line, outside of `$$`; or with a line `\gexec`, as in psql, which runs each text
//! that the statement returns.

use tokio_postgres::{Client, SimpleQueryMessage};

const NO_TRANSACTION: &str = "-- no transaction";
const RUN_RESULT: &str = "\\gexec";

/// The settings under which a migration runs, in the command and in a printed script.
///
/// A change of a table waits for the statements that use the table, and all later statements wait
/// behind the change. The lock timeout is therefore short. A function stores the search path of the
/// migration that creates it, so that path must not contain other schemas or temporary tables.
pub(super) const PREAMBLE: &str = "\
SET statement_timeout = 0;
SET lock_timeout = '400ms';
SET idle_in_transaction_session_timeout = '1min';
SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(current_schema()) || ', pg_temp', false);
";

pub(super) fn runs_without_transaction(sql: &str) -> bool {
    sql.lines().next() == Some(NO_TRANSACTION)
}

/// Returns the statements of a file in their order, each with the comments above it.
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
        if !is_in_body && (line.ends_with(';') || line == RUN_RESULT) {
            found.push(std::mem::take(&mut statement));
        }
    }
    found
}

/// Runs one statement of a file without a transaction.
pub(super) async fn run_statement(
    client: &Client,
    statement: &str,
) -> Result<(), tokio_postgres::Error> {
    let Some(query) = statement.trim_end().strip_suffix(RUN_RESULT) else {
        return client.batch_execute(statement).await;
    };
    for message in client.simple_query(query).await? {
        if let SimpleQueryMessage::Row(row) = message
            && let Some(text) = row.try_get(0)?
        {
            client.batch_execute(text).await?;
        }
    }
    Ok(())
}
