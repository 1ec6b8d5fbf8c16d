//! How a file declares the statements of its requests: by name and with the types of their
//! parameters. A test checks the plan of each statement in [`super::request_statements`].
//!
//! A plan serves until PostgreSQL collects statistics again. One that is made while a table is known
//! to be empty may join it as a whole, and then reads all the rows that come meanwhile: 4 times as
//! long for reads of posts after the first 10,000 votes. So a statement that looks up rows for others
//! has a scalar subquery, or a subquery with a limit, which PostgreSQL makes no join of.

use tokio_postgres::types::Type;

/// A statement of a request.
#[derive(Debug)]
pub struct Statement {
    pub name: &'static str,
    pub sql: &'static str,
    /// The statement for tables that Citus has distributed, if that is another one.
    pub distributed: Option<&'static str>,
    /// The statement for a connection without a session, if it only reads: a standby answers it with
    /// an error, see `fence.rs`.
    pub fenced: Option<&'static str>,
    /// The statement with a fence, if it only reads: its commit waits for the synchronous standby,
    /// see `fence.rs`.
    pub confirmed: Option<&'static str>,
    /// Whether the statement keeps an idempotency key, so that a second run changes nothing and finds
    /// the outcome of the first.
    pub keeps_key: bool,
    /// Types of the parameters. With them, the driver need not ask PostgreSQL.
    pub types: &'static [Type],
}

impl Statement {
    /// Whether the statement surely neither writes nor locks.
    pub(super) fn only_reads(&self) -> bool {
        self.fenced.is_some()
    }

    /// Whether the statement can run again although an earlier run may have been committed.
    pub(super) fn is_repeatable(&self) -> bool {
        self.only_reads() || self.keeps_key
    }

    /// Whether a parameter is a text.
    pub(super) fn has_texts(&self) -> bool {
        self.types.iter().any(|kind| [Type::TEXT, Type::TEXT_ARRAY].contains(kind))
    }
}

/// Declares the statements of a file, and a list of them. A second text is the one for distributed
/// tables. After `unfenced;`, no statement has a fence.
macro_rules! statements {
    (unfenced; $($name:ident ($($parameter:ident),*) = $text:expr;)+) => {
        $crate::store::postgres::statement::statements!(
            @declare $($name ($($parameter),*) = $text, None, None, None;)+
        );
    };
    (@declare $(
        $name:ident ($($parameter:ident),*) = $text:expr, $distributed:expr, $fenced:expr, $confirmed:expr;
    )+) => {
        $(pub(super) static $name: Statement = Statement {
            name: stringify!($name),
            sql: $text,
            distributed: $distributed,
            fenced: $fenced,
            confirmed: $confirmed,
            keeps_key: $crate::store::postgres::fence::contains(
                $text.as_bytes(),
                b"INSERT INTO idempotency_keys",
            ),
            types: &[$(tokio_postgres::types::Type::$parameter),*],
        };)+

        pub(super) static STATEMENTS: &[&Statement] = &[$(&$name),+];
    };
    (@optional) => { None };
    (@optional $text:expr) => { Some($text) };
    ($($name:ident ($($parameter:ident),*) = $text:expr $(, $distributed:expr)?;)+) => {
        $crate::store::postgres::statement::statements!(
            @declare $($name ($($parameter),*) = $text,
                $crate::store::postgres::statement::statements!(@optional $($distributed)?),
                if $crate::store::postgres::fence::only_reads($text) {
                    Some(concat!($text, $crate::store::postgres::fence::fence!()))
                } else {
                    None
                },
                if $crate::store::postgres::fence::only_reads($text) {
                    Some(concat!($text, $crate::store::postgres::fence::confirmation!()))
                } else {
                    None
                };
            )+
        );
    };
}

pub(super) use statements;
