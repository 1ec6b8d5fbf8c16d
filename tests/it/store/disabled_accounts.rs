//! Statements that read `tokens_valid_from` decide which accounts act. Each of them must leave out
//! disabled accounts, so a new statement cannot forget them.

use post_api::store::{postgres, sqlite};

/// Statements that accept no token: they create or change accounts, or delete rows.
const WITHOUT_CALLER: [&str; 9] = [
    "CREATE_USER",
    "CREATE_USER_ONCE",
    "DELETE_OLD_SESSIONS",
    "SET_PASSWORD",
    "SIGN_OUT_ACCOUNT",
    "DISABLE_ACCOUNT",
    "ENABLE_ACCOUNT",
    "SET_ADMIN",
    "CLOSE_ANY_ACCOUNT",
];

#[test]
fn every_statement_that_accepts_a_token_leaves_out_disabled_accounts() {
    let of_sqlite = sqlite::request_statements();
    let of_postgres = postgres::request_statements().flat_map(|statement| {
        let texts = [Some(statement.sql), statement.distributed].into_iter().flatten();
        texts.map(|sql| (statement.name, sql))
    });
    let mut checked = 0;
    for (name, sql) in of_sqlite.chain(of_postgres) {
        if !sql.contains("tokens_valid_from") || WITHOUT_CALLER.contains(&name) {
            continue;
        }
        let checks = sql.matches("tokens_valid_from BETWEEN").count().max(1);
        let conditions = sql.matches("disabled_at IS NULL").count();
        assert!(conditions >= checks, "{name}: {conditions} of {checks}: {sql}");
        checked += 1;
    }
    assert!(checked >= 40, "{checked}");
}
