//! What PostgreSQL can say instead of an answer, told apart by SQLSTATE alone: messages and names
//! depend on the server's version, language and extensions.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;
use crate::store::batch::Failure;
use crate::store::migrate::MigrateError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let may_pass = may_pass(error.code());
        let source: Box<dyn std::error::Error + Send + Sync> = match error.as_db_error() {
            Some(said) => Box::new(Said {
                state: said.code().code().to_owned(),
                message: said.message().to_owned(),
            }),
            None => Box::new(error),
        };
        if may_pass { Self::unavailable(source) } else { Self::internal(source) }
    }
}

impl From<Error> for MigrateError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the server said, without the details: they may repeat a row, and with it a password hash.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {state})")]
struct Said {
    state: String,
    message: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if is_undone(error.code()) { Self::Undone(error.into()) } else { Self::Final(error.into()) }
    }
}

/// Whether the database may do later what it cannot do now.
fn may_pass(state: Option<&SqlState>) -> bool {
    // Without one it is not the server that speaks: the connection is broken.
    let Some(state) = state else { return true };
    match class(state) {
        // Connection; login (a password that was changed); no transaction that writes (a standby);
        // rolled back (serialization, deadlock); resources; limits of the server's configuration;
        // operator (restart, timeout); system.
        "08" | "25" | "28" | "40" | "53" | "57" | "58" => true,
        _ => [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::INVALID_CATALOG_NAME,
            // A table or a column that is not there: the schema is being moved back or forth.
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            // A plan whose tables were altered; it is made anew the next time.
            SqlState::FEATURE_NOT_SUPPORTED,
            // A pooler that gave the statement a server which does not have it prepared.
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
        ]
        .contains(state),
    }
}

/// Whether nothing of the statement happened, and the connection stands: the server itself rolled
/// it back. A session that the server ends, or a connection that breaks, may have committed.
fn is_undone(state: Option<&SqlState>) -> bool {
    let Some(state) = state else { return false };
    let is_end_of_session = class(state) == "08"
        || (class(state) == "57" && *state != SqlState::QUERY_CANCELED)
        || *state == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN;
    !is_end_of_session
}

/// Whether the whole statement may be run again at once: it was undone for the sake of others, or
/// a row that it refers to went while it ran. The next time it sees what they did.
pub(super) fn is_overtaken(state: Option<&SqlState>) -> bool {
    is_any_of(
        state,
        &[
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::FOREIGN_KEY_VIOLATION,
        ],
    )
}

/// Whether the connection is of no more use, although it stands: it leads to a server that only
/// reads, and another may have taken its place; or what was prepared on it does not fit any more.
pub(super) fn is_stale(state: Option<&SqlState>) -> bool {
    is_any_of(
        state,
        &[
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            &SqlState::FEATURE_NOT_SUPPORTED,
            &SqlState::INVALID_SQL_STATEMENT_NAME,
            &SqlState::DUPLICATE_PSTATEMENT,
        ],
    )
}

pub(super) fn is_duplicate(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::UNIQUE_VIOLATION])
}

fn is_any_of(state: Option<&SqlState>, states: &[&SqlState]) -> bool {
    state.is_some_and(|state| states.contains(&state))
}

fn class(state: &SqlState) -> &str {
    state.code().get(..2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state, and what it is: something that may pass, undone, overtaken, stale, a duplicate.
    const STATES: [(&str, &str); 24] = [
        ("", "may pass"),
        ("08006", "may pass"),
        ("08P01", "may pass"),
        ("0A000", "may pass, undone, stale"),
        ("22001", "undone"),
        ("23503", "undone, overtaken"),
        ("23505", "undone, duplicate"),
        ("25006", "may pass, undone, stale"),
        ("25P03", "may pass, undone"),
        ("26000", "may pass, undone, stale"),
        ("28P01", "may pass, undone"),
        ("3D000", "may pass, undone"),
        ("40001", "may pass, undone, overtaken"),
        ("40003", "may pass"),
        ("40P01", "may pass, undone, overtaken"),
        ("42601", "undone"),
        ("42703", "may pass, undone"),
        ("42P01", "may pass, undone"),
        ("42P05", "may pass, undone, stale"),
        ("53300", "may pass, undone"),
        ("55P03", "may pass, undone"),
        ("57014", "may pass, undone"),
        ("57P01", "may pass"),
        ("58030", "may pass, undone"),
    ];

    #[test]
    fn every_state_means_what_is_done_about_it() {
        for (code, expected) in STATES {
            let state = (!code.is_empty()).then(|| SqlState::from_code(code));
            let state = state.as_ref();
            let verdicts = [
                (may_pass(state), "may pass"),
                (is_undone(state), "undone"),
                (is_overtaken(state), "overtaken"),
                (is_stale(state), "stale"),
                (is_duplicate(state), "duplicate"),
            ];
            let found: Vec<&str> =
                verdicts.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            assert_eq!(found.join(", "), expected, "{code}");
        }
    }
}
