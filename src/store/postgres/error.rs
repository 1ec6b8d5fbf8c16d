//! Converts errors of PostgreSQL to errors of the store. Only the SQLSTATE decides: messages and
//! names depend on the server's version, language and extensions.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;
use crate::store::batch::BatchError;
use crate::store::migrate::MigrateError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let is_transient = is_transient(error.code());
        let source: Box<dyn std::error::Error + Send + Sync> = match error.as_db_error() {
            Some(message) => Box::new(ServerMessage {
                state: message.code().code().to_owned(),
                message: message.message().to_owned(),
            }),
            None => Box::new(error),
        };
        if is_transient { Self::unavailable(source) } else { Self::internal(source) }
    }
}

/// An operator does not repeat a command that the server refuses: only a database that cannot be
/// reached is unavailable.
impl From<Error> for MigrateError {
    fn from(error: Error) -> Self {
        let is_unreachable = is_unreachable(error.code());
        Self::Store(match StoreError::from(error) {
            StoreError::Unavailable(source) if !is_unreachable => StoreError::Internal(source),
            other => other,
        })
    }
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        if is_blocked(error.code()) {
            Self::Blocked(error.into())
        } else if was_rolled_back(error.code()) {
            Self::RolledBack(error.into())
        } else {
            Self::Final(error.into())
        }
    }
}

/// The server's message without its details. The details may contain a row with a password hash.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {state})")]
struct ServerMessage {
    state: String,
    message: String,
}

/// Returns the error of a batch that only reads. If the database cannot send a value, each request
/// runs by itself, so that only the requests for this value fail.
pub(super) fn reading_failed(error: StoreError) -> BatchError {
    let is_unreadable = match &error {
        StoreError::Internal(source) => source
            .downcast_ref::<ServerMessage>()
            .is_some_and(|message| message.state.starts_with(DATA_EXCEPTION)),
        _ => false,
    };
    if is_unreadable { BatchError::RolledBack(error) } else { BatchError::Final(error) }
}

/// Returns the SQLSTATE with which the server has refused a statement of a command.
pub(super) fn state_of(error: &MigrateError) -> Option<SqlState> {
    let MigrateError::Store(StoreError::Unavailable(source) | StoreError::Internal(source)) = error
    else {
        return None;
    };
    let message = source.downcast_ref::<ServerMessage>()?;
    Some(SqlState::from_code(&message.state))
}

/// The class of the SQLSTATEs of values that cannot be read or converted.
const DATA_EXCEPTION: &str = "22";

/// Whether the same request may succeed later.
fn is_transient(state: Option<&SqlState>) -> bool {
    // An error without a SQLSTATE does not come from the server: the connection is broken.
    let Some(state) = state else { return true };
    match class(state) {
        // In this order: connection; transaction state (a standby cannot write); login (a changed
        // password); rollback (serialization, deadlock); resources and configured limits; operator
        // (restart, timeout); system.
        "08" | "25" | "28" | "40" | "53" | "57" | "58" => true,
        _ => [
            SqlState::LOCK_NOT_AVAILABLE,
            // A standby, or a database that accepts no connection now.
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            SqlState::INVALID_CATALOG_NAME,
            // A missing table or column: the schema is being migrated.
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            // The tables of a cached plan were altered. The next statement makes a new plan.
            SqlState::FEATURE_NOT_SUPPORTED,
            // A pooler gave the statement a server connection that has not prepared it.
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
        ]
        .contains(state),
    }
}

/// Whether the server did not answer, or refused the connection: it is broken, the login or the
/// database is wrong, no connection is free, or the server ends or starts.
fn is_unreachable(state: Option<&SqlState>) -> bool {
    let Some(state) = state else { return true };
    ["08", "28", "57"].contains(&class(state)) && *state != SqlState::QUERY_CANCELED
        || is_any_of(
            Some(state),
            &[&SqlState::INVALID_CATALOG_NAME, &SqlState::TOO_MANY_CONNECTIONS],
        )
}

/// Whether the server rolled the statement back and keeps the connection. A statement whose
/// connection broke or was terminated may have been committed.
fn was_rolled_back(state: Option<&SqlState>) -> bool {
    let Some(state) = state else { return false };
    let is_end_of_connection = class(state) == "08"
        || (class(state) == "57" && *state != SqlState::QUERY_CANCELED)
        || *state == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN;
    !is_end_of_connection
}

/// Whether the server rolled the statement back, because it waited too long for a lock.
fn is_blocked(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::LOCK_NOT_AVAILABLE])
}

/// Whether a concurrent transaction made the server roll the statement back. A retry at once sees
/// the result of that transaction.
pub(super) fn is_conflict(state: Option<&SqlState>) -> bool {
    let conflicts = [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED];
    is_any_of(state, &conflicts)
}

/// Whether a statement that writes rows can be retried at once: there was a conflict, or a
/// concurrent transaction deleted a row that the statement refers to.
pub(super) fn is_retryable(state: Option<&SqlState>) -> bool {
    is_conflict(state) || is_any_of(state, &[&SqlState::FOREIGN_KEY_VIOLATION])
}

/// Whether a foreign key forbids the deletion of a row.
pub(super) fn is_foreign_key_violation(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::FOREIGN_KEY_VIOLATION, &SqlState::RESTRICT_VIOLATION])
}

/// Whether an open connection must be replaced: its server is read-only, because another one may
/// have become the primary, or its prepared statements are out of date.
pub(super) fn needs_reconnect(state: Option<&SqlState>) -> bool {
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

/// Whether a server that is a standby refused the statement.
pub(super) fn is_recovering(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE])
}

/// Whether the server only reads: a standby, or a primary that is set so.
pub(super) fn is_read_only(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::READ_ONLY_SQL_TRANSACTION])
}

/// Whether the server shuts down, or only reads. It has rolled the statement back, if the error comes
/// before the result.
pub(super) fn is_failover(state: Option<&SqlState>) -> bool {
    let states = [
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    is_any_of(state, &states)
}

/// Whether the server lacks a function, or the role may not use it.
pub(super) fn lacks_function(state: Option<&SqlState>) -> bool {
    is_any_of(
        state,
        &[
            &SqlState::UNDEFINED_FUNCTION,
            &SqlState::FEATURE_NOT_SUPPORTED,
            &SqlState::INSUFFICIENT_PRIVILEGE,
        ],
    )
}

/// Whether the server, the database, the role or a pooler has no connection left.
pub(super) fn is_out_of_connections(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::TOO_MANY_CONNECTIONS, &SqlState::PROTOCOL_VIOLATION])
}

/// Whether the server ended the statement, because of a timeout or a request to cancel it.
pub(super) fn is_canceled(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::QUERY_CANCELED])
}

pub(super) fn is_duplicate(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::UNIQUE_VIOLATION])
}

/// Whether a text of the statement has a character that the encoding of the database lacks.
pub(super) fn is_unrepresentable(state: Option<&SqlState>) -> bool {
    is_any_of(state, &[&SqlState::UNTRANSLATABLE_CHARACTER, &SqlState::CHARACTER_NOT_IN_REPERTOIRE])
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

    /// Each SQLSTATE with all its properties.
    const STATES: [(&str, &str); 28] = [
        ("", "transient, unreachable"),
        ("08006", "transient, unreachable"),
        ("08P01", "transient, unreachable, no connection"),
        ("0A000", "transient, rolled back, reconnect"),
        ("22001", "rolled back"),
        ("22021", "rolled back, unrepresentable"),
        ("22P05", "rolled back, unrepresentable"),
        ("2200H", "rolled back"),
        ("23503", "rolled back, retryable"),
        ("23505", "rolled back, duplicate"),
        ("25006", "transient, rolled back, reconnect, failover"),
        ("25P03", "transient, rolled back"),
        ("26000", "transient, rolled back, reconnect"),
        ("28P01", "transient, unreachable, rolled back"),
        ("3D000", "transient, unreachable, rolled back"),
        ("40001", "transient, rolled back, retryable, conflict"),
        ("40003", "transient"),
        ("40P01", "transient, rolled back, retryable, conflict"),
        ("42601", "rolled back"),
        ("42703", "transient, rolled back"),
        ("42P01", "transient, rolled back"),
        ("42P05", "transient, rolled back, reconnect"),
        ("53300", "transient, unreachable, rolled back, no connection"),
        ("55000", "transient, rolled back, recovering"),
        ("55P03", "transient, blocked"),
        ("57014", "transient, rolled back, canceled"),
        ("57P01", "transient, unreachable, failover"),
        ("58030", "transient, rolled back"),
    ];

    #[test]
    fn every_sqlstate_has_its_properties() {
        for (code, expected) in STATES {
            let state = (!code.is_empty()).then(|| SqlState::from_code(code));
            let state = state.as_ref();
            let properties = [
                (is_transient(state), "transient"),
                (is_unreachable(state), "unreachable"),
                (was_rolled_back(state) && !is_blocked(state), "rolled back"),
                (is_blocked(state), "blocked"),
                (is_retryable(state), "retryable"),
                (is_conflict(state), "conflict"),
                (needs_reconnect(state), "reconnect"),
                (is_duplicate(state), "duplicate"),
                (is_unrepresentable(state), "unrepresentable"),
                (is_out_of_connections(state), "no connection"),
                (is_canceled(state), "canceled"),
                (is_recovering(state), "recovering"),
                (is_failover(state), "failover"),
            ];
            let found: Vec<&str> =
                properties.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            assert_eq!(found.join(", "), expected, "{code}");
        }
    }
}
