//! The statements of requests, by name and with the types of their parameters. Each file that
//! answers requests declares its own with [`statements!`], so that none can be forgotten where all
//! of them are looked at: a test asks PostgreSQL how it would run each.

use tokio_postgres::types::Type;

/// A statement of a request.
#[derive(Debug)]
pub struct Statement {
    pub name: &'static str,
    pub sql: &'static str,
    /// Of its parameters: given, so that PostgreSQL need not be asked for them.
    pub types: &'static [Type],
}

/// Statements of a file, and a list of them.
macro_rules! statements {
    ($($name:ident ($($parameter:ident),*) = $text:expr;)+) => {
        $(pub(super) static $name: Statement = Statement {
            name: stringify!($name),
            sql: $text,
            types: &[$(tokio_postgres::types::Type::$parameter),*],
        };)+

        pub(super) static STATEMENTS: &[&Statement] = &[$(&$name),+];
    };
}

pub(super) use statements;
