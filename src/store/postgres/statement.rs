//! How a file declares the statements of its requests: by name and with the types of their
//! parameters. A test checks the plan of each statement in [`super::request_statements`].

use tokio_postgres::types::Type;

/// A statement of a request.
#[derive(Debug)]
pub struct Statement {
    pub name: &'static str,
    pub sql: &'static str,
    /// Types of the parameters. With them, the driver need not ask PostgreSQL.
    pub types: &'static [Type],
}

impl Statement {
    /// Whether a parameter is a text.
    pub(super) fn has_texts(&self) -> bool {
        self.types.iter().any(|kind| [Type::TEXT, Type::TEXT_ARRAY].contains(kind))
    }
}

/// Declares the statements of a file, and a list of them.
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
