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

/// The settings under which every command runs, and under which a printed script runs.
///
/// A change of a table waits for the statements that use the table, and all later statements wait
/// behind the change. The lock timeout is therefore short. The server, the database and the role
/// can set other defaults for the rest. Those change the text of the definitions that are compared,
/// the meaning of the SQL in the files, or what the steps create.
const SETTINGS: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "'400ms'"),
    ("idle_in_transaction_session_timeout", "'1min'"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("datestyle", "'ISO, MDY'"),
    ("intervalstyle", "postgres"),
    ("timezone", "'UTC'"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    // The counting of votes reads what other sessions committed since its last statement.
    ("default_transaction_isolation", "'read committed'"),
    ("default_table_access_method", "heap"),
    // If a policy would hide rows from this role, an error is better than a wrong count.
    ("row_security", "off"),
];

/// Ends the timeouts that exist only in some versions of PostgreSQL.
const NEWER_TIMEOUTS: &str = "SELECT pg_catalog.set_config(name, '0', false)
  FROM pg_catalog.unnest(ARRAY['transaction_timeout', 'idle_session_timeout']) AS name
 WHERE pg_catalog.current_setting(name, true) IS NOT NULL;
";

/// Returns the settings of a session, as SQL. A function stores the search path of the migration
/// that creates it, so that path must not contain other schemas or temporary tables.
pub(super) fn preamble(quoted_schema: Option<&str>) -> String {
    let mut sql = statements_of("SET", quoted_schema);
    sql.push_str(NEWER_TIMEOUTS);
    sql
}

/// Returns the statements that begin a transaction which only reads, with the same settings. A
/// pooler would give settings of a session to its other clients.
pub(super) fn begin_reading(quoted_schema: Option<&str>) -> String {
    begin("ISOLATION LEVEL READ COMMITTED READ ONLY", quoted_schema)
}

/// Returns the statements that begin a transaction of this mode, with the same settings.
pub(super) fn begin(mode: &str, quoted_schema: Option<&str>) -> String {
    format!("BEGIN {mode};\n{}", statements_of("SET LOCAL", quoted_schema))
}

fn statements_of(set: &str, quoted_schema: Option<&str>) -> String {
    let path = quoted_schema.map(|schema| format!("{schema}, pg_temp"));
    let path = path.as_deref().map(|path| ("search_path", path));
    let settings = SETTINGS.iter().copied().chain(path);
    settings.flat_map(|(name, value)| [set, " ", name, " = ", value, ";\n"]).collect()
}

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
