//! Statements that PostgreSQL runs and that a table of several servers (Citus) refuses.
//! `scripts/stress citus` runs all statements on Citus; these rules hold without it.

use post_api::store::postgres::request_statements;

/// Functions whose result changes within a statement. Each server of Citus would call them itself.
const VOLATILE: [&str; 5] =
    ["gen_random_uuid(", "random(", "clock_timestamp(", "nextval(", "setval("];

/// Statements on the log of changes, which a distributed database does not have.
const UNDISTRIBUTED: [&str; 1] = ["LISTEN_TO_CHANGES"];

/// Returns the text of each SET of an UPDATE.
fn assignments(sql: &str) -> impl Iterator<Item = &str> {
    let before =
        |text: &'static str| move |rest: &str| rest.split(text).next().unwrap_or_default().len();
    sql.split(" SET ")
        .skip(1)
        .map(move |rest| &rest[..before("WHERE")(rest).min(before(" FROM ")(rest))])
}

#[test]
fn update_sets_no_column_to_a_volatile_function_or_a_sum_of_times() {
    let mut checked = 0;
    for statement in request_statements().filter(|one| !UNDISTRIBUTED.contains(&one.name)) {
        for set in assignments(statement.sql) {
            for function in VOLATILE {
                assert!(!set.contains(function), "{}: {function} in {set}", statement.name);
            }
            for (at, _) in set.match_indices("+ interval") {
                let before = set[..at].trim_end();
                assert!(before.ends_with("AT TIME ZONE 'UTC'"), "{}: {set}", statement.name);
            }
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked}");
}

/// A step returns a column of a type that can be passed on.
#[test]
fn step_of_a_statement_returns_no_void() {
    for statement in request_statements() {
        assert!(
            !statement.sql.contains("SELECT pg_advisory_xact_lock("),
            "{}: {}",
            statement.name,
            statement.sql
        );
    }
}
